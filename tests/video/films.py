"""Small films, made with PyAV alone."""

import struct
from fractions import Fraction

import av
import numpy as np

KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
RATE = Fraction(25)


def blocks(seed=0, rows=2, columns=3, size=16):
    """Flat colours in squares, uint8 [H, W, 3]."""
    values = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3))
    return np.kron(values, np.ones((size, size, 1))).astype(np.uint8)


def centres(picture, size=16):
    """The colours of `blocks`, as float."""
    return picture[size // 2 :: size, size // 2 :: size].astype(float)


def moving(count, height=32, width=48):
    """Smooth pictures that differ from frame to frame."""
    y, x = np.mgrid[:height, :width]
    return [
        np.stack(
            [
                128 + 100 * np.sin((x + 3 * i) / 9),
                128 + 100 * np.cos((y - 2 * i) / 7),
                128 + 100 * np.sin((x + y + 5 * i) / 11),
            ],
            axis=-1,
        ).astype(np.uint8)
        for i in range(count)
    ]


def yuv_frame(picture, *, matrix=1, full=False, bits=8):
    """A 4:2:0 frame with the values that the standards' formulas give.

    Args:
        picture: uint8 [H, W, 3] with even sides, whose 2 x 2 squares are flat.
        matrix: number in ITU-T H.273.
        full: whether in full range.
        bits: 8 or 10.
    """
    kr, kb = KR_KB[matrix]
    r, g, b = (picture[..., i] / 255 for i in range(3))
    luma = kr * r + (1 - kr - kb) * g + kb * b
    blue, red = (b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))
    unit, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        values = [luma * top, blue * top + 128 * unit, red * top + 128 * unit]
    else:
        values = [
            (16 + 219 * luma) * unit,
            (128 + 224 * blue) * unit,
            (128 + 224 * red) * unit,
        ]
    planes = [values[0], values[1][::2, ::2], values[2][::2, ::2]]
    kind = np.uint8 if bits == 8 else np.uint16
    height, width = picture.shape[:2]
    format = "yuv420p" if bits == 8 else "yuv420p10le"
    frame = av.VideoFrame(width, height, format)
    for plane, array in zip(frame.planes, planes, strict=True):
        row = plane.line_size // np.dtype(kind).itemsize
        whole = np.zeros((plane.height, row), kind)
        whole[:, : array.shape[1]] = np.clip(np.round(array), 0, top)
        plane.update(whole.tobytes())
    return frame


def sine(seconds, rate=48000, hertz=440):
    """Stereo sound, float32 [2, N]."""
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave, 0.5 * wave]).astype(np.float32)


def write_film(
    path,
    pictures,
    *,
    codec="libx264",
    times=None,
    time_base=1 / RATE,
    rate=RATE,
    matrix=1,
    full=False,
    bits=8,
    tags=(1, 1),
    tagged=True,
    ratio=None,
    sound=None,
    tracks=(),
    metadata=None,
    options=None,
    format=None,
    container_options=None,
    keys=None,
):
    """Writes a film whose values are kept exactly.

    Args:
        path: of the file.
        pictures: uint8 [H, W, 3] each, or frames from `yuv_frame`.
        codec: FFmpeg's name; `libx264` and `ffv1` are set to lossless.
        times: of each frame in units of the time base; 0, 1, 2 ... by default.
        time_base: in seconds.
        rate: frames per second.
        matrix: number in H.273.
        full: whether in full range.
        bits: 8 or 10.
        tags: numbers of the primaries and of the transfer.
        tagged: whether the file names range, matrix and tags.
        ratio: of a pixel's width to its height.
        sound: float32 [2, N], or None; a track with it, in AAC.
        tracks: sound tracks, each a dict of keywords of `add_track`, and its `sound`
            and `start` as in `write_sound`; one without sound stays empty.
        metadata: texts to store in the file.
        options: of the encoder.
        format: of the file; by its suffix if None.
        container_options: of the file.
        keys: numbers of the frames that can be decoded alone; the encoder's choice by
            default.
    """
    if options is None:
        options = {"qp": "0"} if codec == "libx264" else {}
    if sound is not None:
        tracks = [{"sound": sound}, *tracks]
    with av.open(
        str(path), "w", format=format, options=container_options or {}
    ) as file:
        file.metadata.update(metadata or {})
        stream = file.add_stream(codec, rate=rate)
        first = pictures[0]
        if isinstance(first, np.ndarray):
            stream.height, stream.width = first.shape[:2]
        else:
            stream.height, stream.width = first.height, first.width
        stream.pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
        stream.options = options
        stream.time_base = stream.codec_context.time_base = time_base
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        if tagged:
            context = stream.codec_context
            context.color_range, context.colorspace = 2 if full else 1, matrix
            context.color_primaries, context.color_trc = tags
        sounds = []
        for track in tracks:
            facts = {"sound": None, "start": 0, **track}
            values, start = facts.pop("sound"), facts.pop("start")
            sounds.append((add_track(file, **facts), values, start))
        for number, picture in enumerate(pictures):
            frame = picture
            if isinstance(picture, np.ndarray):
                frame = yuv_frame(picture, matrix=matrix, full=full, bits=bits)
            if tagged:
                frame.color_range, frame.colorspace = 2 if full else 1, matrix
                if hasattr(frame, "color_primaries"):  # Not in PyAV 17.
                    frame.color_primaries, frame.color_trc = tags
            frame.pts = number if times is None else times[number]
            frame.time_base = time_base
            if keys is not None:
                frame.pict_type = 1 if number in keys else 0
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        for track, values, start in sounds:
            if values is not None:
                write_sound(file, track, values, start)


def add_track(
    file, codec="aac", rate=48000, layout="stereo", metadata=None, disposition=0
):
    """Adds a stream of sound to a file."""
    track = file.add_stream(codec, rate=rate)
    track.layout, track.disposition = layout, disposition
    track.metadata.update(metadata or {})
    return track


def write_sound(file, track, sound, start=0):
    """Encodes float32 [2, N] into a stream of a file, from a time in samples on."""
    frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = track.rate, start
    frame.time_base = Fraction(1, track.rate)
    file.mux(track.encode(frame))
    file.mux(track.encode())


def set_matrix(path, a, b, c, d):
    """Writes the display matrix into an MP4 file: the first four numbers."""
    data = path.read_bytes()
    start = data.index(b"tkhd") + 44
    numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    matrix = struct.pack(">9i", *numbers)
    path.write_bytes(data[:start] + matrix + data[start + 36 :])


def packets(path, kind):
    """The packets of a file's first stream of a kind."""
    with av.open(str(path)) as file:
        stream = getattr(file.streams, kind)[0]
        return [
            (Fraction(packet.pts) * Fraction(packet.time_base), bytes(packet))
            for packet in file.demux(stream)
            if packet.size
        ]


def color_tags(path):
    """Numbers of a film's colour range, matrix, primaries and transfer in H.273."""
    with av.open(str(path)) as file:
        frame, context = next(file.decode(video=0)), file.streams.video[0].codec_context
        own = [int(frame.color_range), int(frame.colorspace)]
    return (*own, int(context.color_primaries), int(context.color_trc))


def samples(path):
    """The decoded sound of a file, float [2, N], and its first time in seconds."""
    parts, first = [], None
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48000)
        for frame in file.decode(stream):
            if first is None:
                first = float(frame.time)
            parts += [each.to_ndarray() for each in resampler.resample(frame)]
    return np.concatenate(parts, axis=1), first
