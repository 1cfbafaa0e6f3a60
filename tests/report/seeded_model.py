"""A model of a test's own, whose weights are drawn from a seed."""

import random


class SeededModel:
    def __init__(self, device, dtype, seed="0"):
        self.seed = seed

    def encode(self, images):
        return [str(image.resize((2, 2)).getpixel((0, 0))) for image in images]

    def similarity(self, images, texts):
        return [
            random.Random(f"{self.seed} {image} {text}").random() for image, text in zip(images, texts, strict=True)
        ]
