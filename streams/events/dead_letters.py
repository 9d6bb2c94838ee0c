"""Why a message is a dead letter."""

from enum import StrEnum


class DeadReason(StrEnum):
    """Why a message cannot be processed at all. The list is closed."""

    BATCH_UNREADABLE = "batch-unreadable"
    NOT_JSON = "not-json"
    SCHEMA_INVALID = "schema-invalid"
    VERSION_UNKNOWN = "version-unknown"
    REQUEST_CONFLICT = "request-conflict"
    GENERATOR_REJECTED = "generator-rejected"
    IMAGE_MISSING = "image-missing"
    IMAGE_ALTERED = "image-altered"
    IMAGE_UNDECODABLE = "image-undecodable"
    IMAGE_TOO_LARGE = "image-too-large"
    CRASH_LOOP = "crash-loop"
