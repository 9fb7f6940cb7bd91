"""The presets that lie in the package itself, loaded without a network."""

import pathlib

FOLDER = pathlib.Path(__file__).parent / "shipped_presets"


def shipped_presets():
    """The presets of the package.

    Returns:
        dict of name to the path of its folder.

    Example:

    >>> sorted(shipped_presets())
    ['pali_gemma_tiny_112', 'pali_gemma_tiny_224', 'pali_gemma_tiny_mix_224']
    """
    return {
        path.parent.name: str(path.parent)
        for path in sorted(FOLDER.glob("*/config.json"))
    }
