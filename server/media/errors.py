"""What can be wrong with media bytes. A shell puts it into the words of its protocol."""


class MediaError(Exception):
    """Base of every error about media bytes."""


class RtmpProtocolError(MediaError):
    """An RTMP peer sent something the specification forbids, or more than we take."""


class FlvError(MediaError):
    """The media inside RTMP messages is malformed."""


class CodecNotTaken(MediaError):
    """The media is of a codec that cannot go further. The message says which to use."""
