"""The languages that a prefix may name."""

from keras_paligemma.data.problems import DataError

# ISO 639-1, then codes that published data sets use beside it: the old codes
# of Hebrew, Indonesian and Yiddish, and languages that have no code of two
# letters.
LANGUAGES = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch
    co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga
    gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja
    jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv
    mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or
    os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr
    ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi
    vo wa wo xh yi yo za zh zu
    iw in ji ceb fil haw hmn quz yue
    """.split()
)


def check_language(language, location="language"):
    """Raises `DataError` unless a language is known.

    Args:
        language: str. A code such as `"en"`; a region or a script may follow
            behind a hyphen (`"zh-Hant"`, `"pt-BR"`).
        location: str. `file:line`, for the error.

    Returns:
        The language.

    Raises:
        DataError: (a `ValueError`) If it is unknown.
    """
    known = isinstance(language, str) and (
        language.split("-")[0] in LANGUAGES and language.isascii()
    )
    if not known:
        raise DataError(
            "unknown language",
            f"{location}: a language must be an ISO 639-1 code such as 'en'. "
            f"Received: language={language!r:.40}.",
        )
    return language
