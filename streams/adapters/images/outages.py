"""What the client of an image store raises when the store does not answer."""


def outages_of_object_stores() -> tuple[type[Exception], ...]:
    """Return the errors of fsspec's clients that mean "not now".

    On a folder that is OSError. S3's client passes on what lies under it: neither an error of botocore nor a body that
    is cut off in the middle is an OSError.
    """
    try:
        from aiohttp import ClientError
        from botocore.exceptions import BotoCoreError
    except ImportError:  # then nothing here is on S3
        return (OSError,)
    return (OSError, BotoCoreError, ClientError)
