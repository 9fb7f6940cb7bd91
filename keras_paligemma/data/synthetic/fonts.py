"""The fonts that words are drawn in, found at run time.

matplotlib's wheel brings free faces (DejaVu: Bitstream Vera licence; STIX and
Computer Modern: open licences) that cover five scripts. Only its folder is
looked up, matplotlib itself is not imported.
"""

import functools
import importlib.util
import os

from PIL import ImageFont

# The file names of the faces, by the scripts that they cover.
_EVERY_SCRIPT = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
)
_EUROPEAN = (
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
)
_ASCII = ("cmr10", "cmb10", "cmti10", "cmss10", "cmtt10")
BUILT_IN = "<the font inside Pillow>"


def faces_of(script, fonts="matplotlib"):
    """The faces that can write a script.

    Args:
        script: string. One of `words.SCRIPTS`.
        fonts: string or sequence of paths. "matplotlib" for the free faces of
            its wheel, "pillow" for the one face inside Pillow (Latin letters
            without accents), or font files of your own, which must cover
            every script that is asked of them.

    Returns:
        A tuple of paths, the faces for plain ASCII texts only at the end, and
        how many of them cover the whole script.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: `fonts` is unknown, or has no face for `script`.
    """
    if not isinstance(fonts, str):
        paths = tuple(os.fspath(path) for path in fonts)
        absent = [path for path in paths if not os.path.isfile(path)]
        if absent or not paths:
            raise ValueError(
                "`fonts` must list font files that exist. "
                f"Received: fonts={list(paths)} (missing: {absent})"
            )
        return paths, len(paths)
    if fonts == "pillow":
        if script != "latin":
            raise ValueError(
                "Pillow's own font writes only the script 'latin'; give "
                "`fonts='matplotlib'` or font files for others. "
                f"Received: script={script!r}"
            )
        return (BUILT_IN,), 0
    if fonts != "matplotlib":
        raise ValueError(
            "`fonts` must be 'matplotlib', 'pillow' or a list of font files. "
            f"Received: fonts={fonts!r}"
        )
    return _bundled_faces(script)


@functools.lru_cache(maxsize=16)
def _bundled_faces(script):
    names = _EVERY_SCRIPT
    if script in ("latin", "greek", "cyrillic"):
        names = names + _EUROPEAN
    covering = len(names)
    if script == "latin":
        names = names + _ASCII
    folder = _matplotlib_folder()
    return tuple(f"{folder}/{name}.ttf" for name in names), covering


@functools.lru_cache(maxsize=1)
def _matplotlib_folder():
    found = importlib.util.find_spec("matplotlib")
    if found is None:
        raise ImportError(
            "The synthetic world writes words in the fonts that matplotlib "
            "brings. Install it (`pip install matplotlib`), or give "
            "`fonts='pillow'`, or font files of your own."
        )
    root = list(found.submodule_search_locations)[0]
    return os.path.join(root, "mpl-data", "fonts", "ttf")


@functools.lru_cache(maxsize=512)
def load_font(path, size):
    """A face at a size in pixels."""
    if path == BUILT_IN:
        return ImageFont.load_default(size)
    # Basic layout: none of the scripts joins letters, and it is fast.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
