"""From what a record calls its image to a file that may be opened."""

import http.client
import os
import re
import urllib.request

from keras_paligemma.data.problems import DataError

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_TIMEOUT_SECONDS = 30
_MAX_BYTES = 100_000_000


def resolve_image(name, image_root, location, allow_urls=False):
    """Turns the name of an image in a data file into a path below a folder.

    Args:
        name: str. As it stands in the file.
        image_root: str. The folder that holds the images.
        location: str. `file:line`, for errors.
        allow_urls: bool. Whether `http` and `https` addresses are fetched
            when the image is decoded.

    Returns:
        str, or an `ImageAddress`.

    Raises:
        DataError: (a `ValueError`) If the name is a URL and these are not
            allowed, is absolute, or leads out of the folder.

    Example:

    ```python
    resolve_image("a/1.jpg", "/data", "train.jsonl:1")  # "/data/a/1.jpg"
    resolve_image("../1.jpg", "/data", "train.jsonl:1")  # ValueError
    ```
    """
    if not isinstance(name, str) or not name:
        raise DataError(
            "wrong field",
            f"{location}: the name of an image must be a text that is not "
            f"empty. Received: {name!r:.80}.",
        )
    if _URL.match(name):
        if allow_urls and name.lower().startswith(("http://", "https://")):
            return ImageAddress(name)
        raise DataError(
            "refused path",
            f"{location}: URLs are not fetched unless `allow_urls=True` (and "
            f"http or https only). Received: {name[:200]!r}.",
        )
    # A name with either slash must not get out on either system.
    parts = name.replace("\\", "/").split("/")
    if name[0] in "/\\~" or ":" in parts[0] or ".." in parts or "\0" in name:
        raise DataError(
            "refused path",
            f"{location}: the path of an image must be relative and stay "
            f"below {image_root!r}. Received: {name[:200]!r}. Give the right "
            "folder as `image_root`.",
        )
    return os.path.join(image_root, *parts)


class ImageAddress:
    """An image on the web, fetched each time it is called.

    Args:
        url: str. An `http` or `https` address.
    """

    def __init__(self, url):
        self.url = url

    def __call__(self):
        try:
            with urllib.request.urlopen(
                self.url, timeout=_TIMEOUT_SECONDS
            ) as response:
                data = response.read(_MAX_BYTES + 1)
        except http.client.HTTPException as error:
            # A bad address or a server that breaks off: no `OSError`.
            raise OSError(f"it cannot be fetched ({error!r})") from error
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
        return data

    def __str__(self):
        return repr(self.url)
