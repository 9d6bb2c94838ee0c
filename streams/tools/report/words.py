"""What each reason means, in one sentence for somebody who has never heard of it."""

from streams.events import DeadReason, ReasonCode

REASONS: dict[ReasonCode, str] = {
    ReasonCode.NO_CONSENT: "The person has not agreed, no longer agrees, or is protected: nothing was generated or let"
    " through.",
    ReasonCode.COPY: "The picture is a copy of an enrolled photograph or of an image that the generator learned from.",
    ReasonCode.NEAR_COPY: "The picture is nearly that of an enrolled photograph or of an image that the generator"
    " learned from: somebody should look at both.",
    ReasonCode.LEAK: "The face resembles somebody enrolled who was not asked for.",
    ReasonCode.NO_REFERENCE: "Nobody is enrolled under the name that was asked for: there is nothing to compare with.",
    ReasonCode.NO_FACE: "The detector found no face in the image.",
    ReasonCode.SEVERAL_FACES: "The detector found more than one face, so it is open which one was meant.",
    ReasonCode.LOW_QUALITY: "The face is too small or too blurred to be judged.",
    ReasonCode.MISMATCH: "The face does not resemble the person that was asked for closely enough.",
    ReasonCode.SECOND_VERIFIER: "The second verifier does not see the person that was asked for closely enough.",
    ReasonCode.AMBIGUOUS: "The face resembles the person that was asked for, and somebody else nearly as much.",
}

DEAD_REASONS: dict[DeadReason, str] = {
    DeadReason.BATCH_UNREADABLE: "The broker holds a batch of messages that nobody can read.",
    DeadReason.NOT_JSON: "The message is not JSON.",
    DeadReason.SCHEMA_INVALID: "The message is JSON and lacks a field, or has a wrong value in one.",
    DeadReason.VERSION_UNKNOWN: "The message is of a version that this release does not know.",
    DeadReason.REQUEST_CONFLICT: "The same id was used before for something else.",
    DeadReason.GENERATOR_REJECTED: "The generator is not served, or refuses what was asked of it.",
    DeadReason.IMAGE_MISSING: "The message points at an image that the store does not have.",
    DeadReason.IMAGE_ALTERED: "The stored image is not the one that the message points at.",
    DeadReason.IMAGE_UNDECODABLE: "The bytes are not an image in a format that is accepted.",
    DeadReason.IMAGE_TOO_LARGE: "The image has more bytes or pixels than are accepted.",
    DeadReason.CRASH_LOOP: "Processes died of this image, again and again.",
}
