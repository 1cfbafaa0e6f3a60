"""A model of a test's own: it says of each picture and text what a table says, told by the colour and the words."""

import json
from pathlib import Path


class GoldenModel:
    def __init__(self, device, dtype, table):
        self.table = json.loads(Path(table).read_text())

    def encode(self, images):
        return [image.getpixel((0, 0)) for image in images]

    def similarity(self, images, texts):
        return [float(self._said(image, text)) for image, text in zip(images, texts, strict=True)]

    def _said(self, colour, text):
        red, green, blue = colour
        value = self.table[str((red << 16) + (green << 8) + blue)][int(text.split()[1])]
        return "nan" if value is None else value
