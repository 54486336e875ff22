"""`Frame`: a short stretch of audio, and what else may be one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from greenroom.errors import InvalidArgument

if TYPE_CHECKING:
    from livekit import rtc

__all__ = ["Frame", "Samples", "samples_of", "samples_to_play"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A short stretch of audio."""

    data: bytes
    """16-bit samples, the channels of an instant side by side;
    `numpy.frombuffer(frame.data, numpy.int16)` views it."""
    rate: int
    """In Hz."""
    channels: int = 1
    """How many."""
    time: float = 0.0
    """When its first sample was recorded, in seconds since `Capture.origin`."""
    lost: int = 0
    """How many samples of each channel are missing just before it."""

    @property
    def samples(self) -> int:
        """How many samples each channel has."""
        return len(self.data) // (2 * self.channels)

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return self.samples / self.rate

    def to_rtc(self) -> rtc.AudioFrame:
        """The same as a `livekit.rtc.AudioFrame`: `await source.capture_frame(frame.to_rtc())`.

        Raises:
            SdkMissing, SdkTooOld, Unsupported: There is no livekit that this package knows.
        """
        from greenroom._livekit import audio_frame_class

        frame: rtc.AudioFrame = audio_frame_class()(self.data, self.rate, self.channels, self.samples)
        return frame

    @classmethod
    def from_rtc(cls, frame: rtc.AudioFrame) -> Frame:
        """A frame from a `livekit.rtc.AudioFrame`. A playback takes those as they are."""
        return cls(data=frame.data.tobytes(), rate=frame.sample_rate, channels=frame.num_channels)


class Samples(NamedTuple):
    """Samples as the native code takes them."""

    data: bytes
    """In this machine's byte order, the channels of an instant side by side."""
    is_float: bool
    """Whether they are floats of 32 bits, with full scale at 1, and not integers of 16 bits."""
    format: tuple[int, int] | None
    """Their rate and channels, if known."""
    columns: int
    """How many samples are side by side: of an array of two dimensions, the length of a row."""

    @property
    def width(self) -> int:
        """The bytes of a sample."""
        return 4 if self.is_float else 2


def samples_of(audio: Any) -> Samples:
    """Returns the samples of a frame, ours or LiveKit's, of bytes of 16-bit integers, or of an
    array with a format.

    Raises:
        InvalidArgument: It has none, or of another kind.
    """
    given: tuple[int, int] | None = None
    data = audio
    if isinstance(audio, Frame):
        given, data = (audio.rate, audio.channels), audio.data
    elif hasattr(audio, "sample_rate"):
        given, data = (audio.sample_rate, getattr(audio, "num_channels", 1)), audio.data
    try:
        view = memoryview(data)
    except TypeError:
        raise InvalidArgument(
            f"a {type(audio).__name__} is no audio; pass a frame, bytes of 16-bit samples, or an array of int16 "
            "or float32"
        ) from None
    if view.format not in ("h", "<h", "B", "b", "c", "f", "<f"):
        raise InvalidArgument(
            f"the samples are of the format {view.format!r}; pass 16-bit integers or 32-bit floats (numpy: int16, or "
            "float32 from -1 to 1)"
        )
    columns = view.shape[1] if view.shape is not None and len(view.shape) > 1 else 1
    data = data if isinstance(data, bytes) else view.tobytes()
    return Samples(data, view.format.endswith("f"), given, columns)


def samples_to_play(audio: Any, rate: int, channels: int) -> Samples:
    """The samples of what is to be played at this rate with these channels.

    Raises:
        InvalidArgument: They are of another rate or other channels, or are no whole instants.
    """
    samples = samples_of(audio)
    if samples.format is not None and samples.format != (rate, channels):
        theirs = samples.format
        raise InvalidArgument(
            f"the frame is of {theirs[0]} Hz and {theirs[1]} channels, and the stream of {rate} Hz and {channels}; "
            f"open the stream with rate={theirs[0]}, channels={theirs[1]}"
        )
    if len(samples.data) % (samples.width * channels):
        raise InvalidArgument(
            f"{len(samples.data)} bytes are no whole number of {8 * samples.width}-bit samples for {channels} channels"
        )
    return samples
