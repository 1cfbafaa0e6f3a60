"""babycli: data, evaluation and reports for vision-language models trained on what an infant sees and hears."""

__version__ = "0.1.0"
