"""The words on the pictures: what is written, and how it is drawn."""

import math

import numpy as np
from PIL import Image

from keras_paligemma.data.synthetic import fonts as fonts_module

_WORDS = {
    "latin": """
        open closed stop exit sale coffee bread market hotel garden street
        music paper summer winter north south river bridge station ticket
        water light school museum danger push pull fresh pizza radio cinema
        hello world orange zebra quick brown jumps lazy vortex fjord enjoy
        Straße Kaffee Bäcker Müller grün größe Apotheke Bahnhof schön Zürich
        été café crème élève forêt garçon château hôtel où déjà noël rue
        niño año jardín mañana corazón señor playa ciudad sol fiesta
        città perché caffè pane gelato strada mare università piazza
        coração pão açúcar praia avó você rua manhã smörgås køb ångström
        """,
    "greek": """
        καφές ψωμί θάλασσα ήλιος αγορά δρόμος νερό φως μουσική σχολείο
        Αθήνα κήπος ξενοδοχείο έξοδος είσοδος βιβλίο ουρανός χρόνος γεια
        ζάχαρη ψάρι βουνό πόλη νύχτα άνεμος
        """,
    "cyrillic": """
        хлеб вода рынок улица музыка школа солнце море книга выход вход
        гостиница город зима лето мост река свет привет яблоко щука юг
        Київ їжа сонце ґанок хліб София кафе ключ вечер поезд
        """,
    "armenian": """
        բարև հաց ջուր արև ծով գիրք քաղաք դպրոց փողոց լույս գարուն ձմեռ
        շուկա կամուրջ երաժշտություն
        """,
    "georgian": """
        პური წყალი მზე ზღვა წიგნი ქალაქი სკოლა ქუჩა სინათლე ზამთარი
        ბაზარი ხიდი მუსიკა გამარჯობა თბილისი
        """,
}
WORDS = {script: tuple(text.split()) for script, text in _WORDS.items()}
SCRIPTS = tuple(WORDS)
_SYLLABLES = {
    "latin": "ka lo mi tu re sa ben dor vin pel gra sto zu fy qua wex".split(),
    "greek": "κα λο μι του ρε σα βεν δορ πελ γρα στο ζυ φι ξα ψω θε".split(),
    "cyrillic": "ка ло ми ту ре са бен дор вин пел гра жу фы ша ще".split(),
}
# Coverage from which a pixel counts as ink in a word's box.
INK = 64


def sample_text(rng, script, plain=False):
    """Draws a word, a made-up word or a number, without spaces.

    Args:
        rng: `np.random.Generator`.
        script: string. One of `SCRIPTS`.
        plain: bool. Whether only ASCII letters may come.

    Returns:
        string.
    """
    kind = rng.random()
    if kind < 0.12:
        return _sample_number(rng)
    syllables = _SYLLABLES.get(script)
    if kind < 0.3 and syllables:
        count = int(rng.integers(1, 4))
        chosen = rng.integers(len(syllables), size=count)
        text = "".join(syllables[i] for i in chosen)
    else:
        words = WORDS[script]
        text = words[rng.integers(len(words))]
        if plain and not text.isascii():
            text = words[rng.integers(40)]
    case = rng.random()
    # Georgian capitals are a recent addition that few faces draw; the capital
    # of ß would change the word's length.
    if script == "georgian" or "ß" in text:
        return text
    if case < 0.3:
        return text.upper()
    return text.capitalize() if case < 0.5 else text


def _sample_number(rng):
    form = rng.integers(5)
    if form == 0:
        return str(rng.integers(0, 100))
    if form == 1:
        return str(rng.integers(1000, 10000))
    if form == 2:
        return f"{rng.integers(1, 100)}.{rng.integers(0, 100):02d}"
    if form == 3:
        return f"{rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}"
    return f"{rng.integers(5, 100)}%"


def draw_word(rng, text, face, height):
    """Draws one word as coverage, in one of many hands.

    The face is varied by weight (a stroke around it, or only the stroke),
    tracking, slant and a slight turn.

    Args:
        rng: `np.random.Generator`.
        text: string.
        face: string. A font file, as `fonts.faces_of` gives them.
        height: int. Size of the font in pixels.

    Returns:
        uint8 `[rows, columns]`, trimmed to the ink.
    """
    font = fonts_module.load_font(face, height)
    style = rng.random(4)
    stroke = 1 if style[0] < 0.2 and height >= 20 else 0
    tracking = round(height * 0.25 * style[1]) if style[1] < 0.25 else 0
    pieces = list(text) if tracking else [text]
    masks, left = [], 0
    for piece in pieces:
        mask, offset = font.getmask2(
            piece,
            "L",
            stroke_width=stroke,
            anchor="ls",
            stroke_filled=style[0] > 0.03,
        )
        ink = np.asarray(mask, np.uint8).reshape(mask.size[::-1])
        masks.append((ink, left + offset[0], offset[1]))
        left += round(font.getlength(piece)) + tracking
    masks = [entry for entry in masks if entry[0].size]
    first = min(x for _, x, _ in masks)
    top = min(y for _, _, y in masks)
    right = max(x + ink.shape[1] for ink, x, _ in masks)
    bottom = max(y + ink.shape[0] for ink, _, y in masks)
    canvas = np.zeros((bottom - top, right - first), np.uint8)
    for ink, x, y in masks:
        y, x = y - top, x - first
        window = canvas[y : y + ink.shape[0], x : x + ink.shape[1]]
        np.maximum(window, ink, out=window)
    if style[2] < 0.15:
        canvas = _slanted(canvas, 0.3 if style[2] < 0.1 else -0.2)
    if style[3] < 0.2:
        angle = (style[3] - 0.1) * 80.0
        canvas = np.asarray(
            Image.fromarray(canvas).rotate(angle, Image.BILINEAR, expand=True)
        )
    return _trimmed(canvas)


def _slanted(ink, slope):
    height, width = ink.shape
    extra = math.ceil(abs(slope) * height)
    shift = -extra if slope > 0 else 0
    return np.asarray(
        Image.fromarray(ink).transform(
            (width + extra, height),
            Image.AFFINE,
            (1, slope, shift, 0, 1, 0),
            Image.BILINEAR,
        )
    )


def _trimmed(ink):
    rows = np.flatnonzero((ink >= INK).any(1))
    columns = np.flatnonzero((ink >= INK).any(0))
    if not len(rows):
        return ink
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
