"""The one caption of a scene that its truth determines."""

from keras_paligemma.data.synthetic.phrases import check_language
from keras_paligemma.data.synthetic.phrases import counted_phrase
from keras_paligemma.data.synthetic.phrases import join_phrases
from keras_paligemma.data.synthetic.phrases import noun_phrase

STYLES = ("full", "short")


def write_caption(scene, language="en", style="full"):
    """Writes the canonical caption of a scene.

    Objects of one kind and colour are counted together; groups come in the
    order of their largest member (`scene.canonical_order`), so the same scene
    always has the same caption. Written words are not mentioned.

    Args:
        scene: `Scene`, with at least one object.
        language: string. One of `LANGUAGES`.
        style: string. "full" for everything, "short" for the largest object
            alone.

    Returns:
        string, as "two red circles, a blue star and a green tree".

    Raises:
        ValueError: The language or the style is unknown, or nothing is there.
    """
    check_language(language)
    if style not in STYLES:
        raise ValueError(
            f"`style` must be one of {STYLES}. Received: style={style!r}"
        )
    if not scene.objects:
        raise ValueError(
            "A caption needs a scene with objects; take it with "
            "`world.scene(index)`, whose scenes always have one. Received: "
            "a scene without objects"
        )
    if style == "short":
        largest = scene.objects[0]
        return noun_phrase(language, largest.kind, largest.colour, "indefinite")
    counts = {}
    for thing in scene.objects:
        key = (thing.kind, thing.colour)
        counts[key] = counts.get(key, 0) + 1
    phrases = [
        counted_phrase(language, kind, colour, count)
        for (kind, colour), count in counts.items()
    ]
    return join_phrases(language, phrases)
