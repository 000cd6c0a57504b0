"""Pictures, clips and sounds of the generated shop: each shows one level and nothing of the other factors."""

from __future__ import annotations

import colorsys
import io
import wave
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mrlm_core.datasets.iot_ratings import LEVELS

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SIZE = 96  # pixels
CLIP_SIZE, CLIP_FRAMES, CLIP_RATE = 64, 16, 12  # pixels, frames, frames a second
SOUND_RATE = 8000  # samples a second, one second long
SHAPE_NOISE = 0.2  # share of pictures whose outline is that of a random level
HUE_SPREAD = 0.03  # standard deviation about the colour of the level; colours are 1/8 apart
_SCALE = 3  # pictures are drawn larger and reduced, for smooth edges

# Icons in the unit square; w draws, b cuts out. box: corners, radius; disc: centre, radius; line: points, width.
_ICONS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "phone": (("box", "w", .30, .10, .70, .90, .08), ("box", "b", .36, .20, .64, .74, .01),
              ("disc", "b", .5, .82, .04)),
    "lamp": (("poly", "w", .32, .14, .68, .14, .82, .52, .18, .52), ("line", "w", .5, .5, .5, .84, .06),
             ("box", "w", .32, .82, .68, .90, .03)),
    "lock": (("arc", "w", .32, .12, .68, .60, .08), ("box", "w", .22, .42, .78, .88, .07), ("disc", "b", .5, .60, .07),
             ("line", "b", .5, .62, .5, .76, .06)),
    "sensor": (("disc", "w", .5, .5, .38), ("disc", "b", .5, .5, .29), ("disc", "w", .5, .5, .19),
               ("disc", "b", .5, .5, .07)),
    "speaker": (("box", "w", .28, .08, .72, .92, .07), ("disc", "b", .5, .30, .10), ("disc", "b", .5, .66, .17),
                ("disc", "w", .5, .66, .07)),
    "camera": (("disc", "w", .5, .42, .32), ("disc", "b", .5, .42, .18), ("disc", "w", .5, .42, .08),
               ("line", "w", .5, .70, .5, .88, .10), ("box", "w", .30, .84, .70, .92, .03)),
    "thermostat": (("box", "w", .42, .08, .58, .68, .08), ("disc", "w", .5, .76, .16),
                   ("line", "b", .5, .30, .5, .74, .05), ("line", "w", .64, .20, .76, .20, .05),
                   ("line", "w", .64, .36, .76, .36, .05), ("line", "w", .64, .52, .76, .52, .05)),
    "plug": (("line", "w", .38, .10, .38, .38, .08), ("line", "w", .62, .10, .62, .38, .08),
             ("box", "w", .24, .34, .76, .66, .10), ("line", "w", .5, .64, .5, .92, .09)),
    "watch": (("box", "w", .38, .06, .62, .94, .04), ("box", "w", .22, .26, .78, .74, .12),
              ("box", "b", .29, .33, .71, .67, .07), ("line", "w", .5, .40, .5, .52, .04),
              ("line", "w", .5, .52, .60, .52, .04)),
    "doorbell": (("disc", "w", .5, .42, .27), ("box", "w", .23, .42, .77, .70, .02),
                 ("box", "w", .14, .68, .86, .77, .04), ("disc", "w", .5, .84, .08), ("disc", "w", .5, .14, .05)),
    "vacuum": (("disc", "w", .5, .5, .40), ("arc", "b", .22, .22, .78, .78, .05), ("disc", "b", .5, .40, .10),
               ("box", "b", .34, .66, .66, .72, .03)),
    "router": (("line", "w", .28, .14, .32, .60, .05), ("line", "w", .72, .14, .68, .60, .05),
               ("box", "w", .12, .56, .88, .82, .06), ("disc", "b", .28, .69, .05), ("disc", "b", .44, .69, .05),
               ("line", "b", .58, .69, .80, .69, .05)),
}


def picture(rng: np.random.Generator, category: str, level: int) -> bytes:
    """PNG of the product: colour and outline show ``level`` (below 8), the icon its category."""
    from PIL import Image, ImageFilter

    big = IMAGE_SIZE * _SCALE
    hue = level / LEVELS["image"] + rng.normal(0, HUE_SPREAD)
    colour = _rgb(hue, rng.uniform(0.55, 0.85), rng.uniform(0.65, 0.9))
    light, deep = _rgb(rng.random(), 0.06, 0.98), _rgb(rng.random(), 0.10, 0.86)
    canvas = _gradient(big, light, deep)
    outline = rng.integers(LEVELS["image"]) if rng.random() < SHAPE_NOISE else level
    size = int(big * rng.uniform(0.62, 0.76))
    left, top = (big - size) // 2 + rng.integers(-12, 13, size=2)
    plate = _plate(int(outline), size)
    shadow = Image.new("L", (big, big))
    shadow.paste(plate.point(lambda value: value * 2 // 5), (int(left) + 6, int(top) + 14))
    canvas.paste((60, 60, 70), (0, 0), shadow.filter(ImageFilter.GaussianBlur(8)))
    canvas.paste(_gradient(size, _lighter(colour, 1.15), _lighter(colour, 0.8)), (int(left), int(top)), plate)
    icon = _icon(category, int(size * 0.6)).rotate(rng.uniform(-8, 8), resample=Image.Resampling.BILINEAR)
    canvas.paste((250, 250, 252), (int(left) + int(size * 0.2), int(top) + int(size * 0.2)), icon)
    buffer = io.BytesIO()
    canvas.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BOX).save(buffer, "PNG")
    return buffer.getvalue()


def clip(rng: np.random.Generator, category: str, level: int) -> bytes:
    """MP4 (H.264) of the product moving: the kind of movement shows ``level`` (below 8); its colours show nothing."""
    import av

    speed, phase = rng.uniform(0.7, 1.4), rng.uniform(0, 1)
    background = _gradient(CLIP_SIZE, _rgb(rng.random(), 0.12, 0.95), _rgb(rng.random(), 0.2, 0.75))
    base = 28 + int(rng.integers(-2, 5))
    colour = _rgb(rng.random(), rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.55))
    home = rng.integers(-4, 5, size=2)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("libx264", rate=CLIP_RATE, options={"preset": "ultrafast", "crf": "20"})
        stream.width = stream.height = CLIP_SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # with more, the bytes could differ from run to run
        stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
        for t in range(CLIP_FRAMES):
            dx, dy, scale, light = _MOTIONS[level]((t + phase) * speed)
            sprite, mask = _sprite(category, round(base * scale), _lighter(colour, light))
            frame = _paste_wrapped(background.copy(), sprite, mask, home[0] + dx, home[1] + dy)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def sound(rng: np.random.Generator, level: int) -> bytes:
    """WAV (mono, 16 bit, one second): pitch and timbre show ``level`` (below 6), over some room noise."""
    t = np.arange(SOUND_RATE) / SOUND_RATE
    wanted = _TIMBRES[level](t, rng.uniform(0.8, 1.25), rng)
    fade = np.minimum(1, np.minimum(t, t[::-1]) * 50)
    samples = rng.uniform(0.4, 0.7) * wanted * fade + rng.uniform(0.02, 0.12) * rng.normal(size=len(t))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


# time in frames -> (right, down) in pixels, size and brightness as factors.
_MOTIONS: tuple[Callable[[float], tuple[float, float, float, float]], ...] = (
    lambda t: (5 * t, 0, 1, 1),
    lambda t: (-2.5 * t, 0, 1, 1),
    lambda t: (0, -5 * t, 1, 1),
    lambda t: (0, 2.5 * t, 1, 1),
    lambda t: (8 * np.sin(2.4 * t), 0, 1, 1),
    lambda t: (0, 6 - 16 * abs(np.sin(0.5 * t)), 1, 1),
    lambda t: (0, 0, 1 + 0.4 * np.sin(0.8 * t), 1),
    lambda t: (0, 0, 1, 1.3 + 0.8 * np.sign(np.sin(1.1 * t))),
)


def _hum(t: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * 140 * pitch * t) * (0.7 + 0.3 * np.sin(2 * np.pi * 3 * t + rng.uniform(0, 6)))


def _beeps(t: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * 660 * pitch * t) * ((t * rng.uniform(3, 5)) % 1 < 0.5)


def _chirp(t: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * (1300 * pitch * t + rng.uniform(400, 700) * t**2))


def _hiss(t: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return 0.5 * rng.normal(size=len(t)) * np.abs(np.sin(np.pi * pitch * 1.5 * t))


def _buzz(t: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return 0.6 * np.sign(np.sin(2 * np.pi * 260 * pitch * t + rng.uniform(0, 6)))


def _bell(t: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    partials = sum(np.sin(2 * np.pi * 420 * ratio * pitch * t) / n for n, ratio in enumerate((1, 2.76, 5.4), 1))
    return np.exp(-((t * 2) % 1) * rng.uniform(5, 8)) * partials


_TIMBRES = (_hum, _beeps, _chirp, _hiss, _buzz, _bell)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _lighter(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def _gradient(size: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    from PIL import Image

    down = np.linspace(0, 1, size)[:, None, None]
    rows = (1 - down) * np.array(top) + down * np.array(bottom)
    return Image.fromarray(np.broadcast_to(rows, (size, size, 3)).astype(np.uint8))


def _plate(level: int, size: int) -> Image.Image:
    """The outline of a level as a mask: disc, rounded square, hexagon, tall box, diamond, octagon, wide box, drop."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (size, size))
    draw = ImageDraw.Draw(mask)
    last, corner = size - 1, size // 6
    boxes = {1: (0, 0, last, last), 3: (corner, 0, last - corner, last), 6: (0, corner, last, last - corner)}
    corners = {2: 6, 4: 4, 5: 8}
    if level in boxes:
        draw.rounded_rectangle(boxes[level], radius=corner, fill=255)
    elif level in corners:
        draw.regular_polygon((size / 2, size / 2, size / 2), corners[level], fill=255)
    else:
        draw.ellipse((0, 0, last, last), fill=255)
        if level == 7:
            draw.rectangle((size // 2, 0, last, size // 2), fill=255)
    return mask


def _icon(category: str, size: int) -> Image.Image:
    from PIL import Image, ImageDraw

    mask = Image.new("L", (size, size))
    draw = ImageDraw.Draw(mask)
    for kind, ink, *numbers in _ICONS[category]:
        fill = 255 if ink == "w" else 0
        *points, last = (number * size for number in numbers)
        if kind == "box":
            draw.rounded_rectangle(points, radius=last, fill=fill)
        elif kind == "disc":
            x, y = points
            draw.ellipse((x - last, y - last, x + last, y + last), fill=fill)
        elif kind == "arc":
            draw.arc(points, 180, 360, fill=fill, width=max(1, round(last)))
        elif kind == "line":
            draw.line(points, fill=fill, width=max(1, round(last)))
        else:
            draw.polygon([*points, last], fill=fill)
    return mask


def _sprite(category: str, size: int, colour: tuple[int, int, int]) -> tuple[Image.Image, Image.Image]:
    from PIL import Image

    sprite = Image.new("RGB", (size, size), colour)
    inner = round(size * 0.7)
    sprite.paste((240, 240, 240), ((size - inner) // 2, (size - inner) // 2), _icon(category, inner))
    return sprite, _plate(1, size)


def _paste_wrapped(frame: Image.Image, sprite: Image.Image, mask: Image.Image, dx: float, dy: float) -> Image.Image:
    """Paste about the centre; what leaves on one side comes back on the other."""
    x, y = (round((CLIP_SIZE - sprite.width) / 2 + shift) % CLIP_SIZE for shift in (dx, dy))
    for left in (x - CLIP_SIZE, x):
        for top in (y - CLIP_SIZE, y):
            frame.paste(sprite, (left, top), mask)
    return frame
