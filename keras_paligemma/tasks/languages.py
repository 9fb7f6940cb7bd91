"""The languages that the published mixture writes and asks in."""

# Those of CC3M-35L and COCO-35L, on which PaliGemma was trained.
LANGUAGES = tuple(
    """
    ar bn cs da de el en es fa fi fil fr he hi hr hu id it ja ko mi nl no pl
    pt ro ru sv sw te th tr uk vi zh
    """.split()
)


def check_language(language):
    """Returns `language` if it is one of `LANGUAGES`.

    Raises:
        ValueError: If it is not.
    """
    if language not in LANGUAGES:
        raise ValueError(
            f"The language must be one of the {len(LANGUAGES)} codes "
            f"{', '.join(LANGUAGES)}. Received: language={language!r}. For "
            "another one, write the prompt yourself; the published weights "
            "have not learnt it."
        )
    return language
