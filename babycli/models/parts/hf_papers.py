"""The papers behind models of transformers, by the model_type of their config.json.

Owns which they are, of the types that docs/models.md names and others in use. A type that is not here has none that is
known here.
"""

from __future__ import annotations

from collections.abc import Mapping

from babycli.bibliography import BLIP, CLIP, LLAVA, LLAVA_1_5, Paper


def _paper(key: str, first_author: str, year: int, arxiv: str, title: str) -> Paper:
    return Paper(key, title, (first_author, "others"), year, arxiv=arxiv)


def _by_group(key: str, group: str, year: int, arxiv: str, title: str) -> Paper:
    return Paper(key, title, (group,), year, arxiv=arxiv, is_by_a_group=True)


_BLIP_2 = _paper(
    *("li2023blip2", "Li, Junnan", 2023, "2301.12597"),
    "BLIP-2: Bootstrapping Language-Image Pre-training with Frozen Image Encoders and Large Language Models",
)
_IDEFICS_3 = _paper(
    *("laurencon2024idefics3", "Laurençon, Hugo", 2024, "2408.12637"),
    "Building and better understanding vision-language models: insights and future directions",
)
_INTERNVL = _paper(
    *("chen2023internvl", "Chen, Zhe", 2023, "2312.14238"),
    "InternVL: Scaling up Vision Foundation Models and Aligning for Generic Visual-Linguistic Tasks",
)
_INTERNVL_3 = _paper(
    *("zhu2025internvl3", "Zhu, Jinguo", 2025, "2504.10479"),
    "InternVL3: Exploring Advanced Training and Test-Time Recipes for Open-Source Multimodal Models",
)
_PALIGEMMA = _paper(
    *("beyer2024paligemma", "Beyer, Lucas", 2024, "2407.07726"), "PaliGemma: A versatile 3B VLM for transfer"
)
_PALIGEMMA_2 = _paper(
    *("steiner2024paligemma2", "Steiner, Andreas", 2024, "2412.03555"),
    "PaliGemma 2: A Family of Versatile VLMs for Transfer",
)
_PIXTRAL = _paper("agrawal2024pixtral", "Agrawal, Pravesh", 2024, "2410.07073", "Pixtral 12B")

PAPERS_OF: Mapping[str, tuple[Paper, ...]] = {
    "aya_vision": (
        _paper(
            *("dash2025ayavision", "Dash, Saurabh", 2025, "2505.08751"),
            "Aya Vision: Advancing the Frontier of Multilingual Multimodality",
        ),
    ),
    "blip": (BLIP,),
    "blip-2": (_BLIP_2,),
    "deepseek_vl": (
        _paper(
            *("lu2024deepseekvl", "Lu, Haoyu", 2024, "2403.05525"),
            "DeepSeek-VL: Towards Real-World Vision-Language Understanding",
        ),
    ),
    "florence2": (
        _paper(
            *("xiao2023florence2", "Xiao, Bin", 2023, "2311.06242"),
            "Florence-2: Advancing a Unified Representation for a Variety of Vision Tasks",
        ),
    ),
    "gemma3": (_by_group("gemmateam2025gemma3", "Gemma Team", 2025, "2503.19786", "Gemma 3 Technical Report"),),
    "git": (
        _paper(
            *("wang2022git", "Wang, Jianfeng", 2022, "2205.14100"),
            "GIT: A Generative Image-to-text Transformer for Vision and Language",
        ),
    ),
    "idefics2": (
        _paper(
            *("laurencon2024idefics2", "Laurençon, Hugo", 2024, "2405.02246"),
            "What matters when building vision-language models?",
        ),
    ),
    "idefics3": (_IDEFICS_3,),
    "instructblip": (
        _paper(
            *("dai2023instructblip", "Dai, Wenliang", 2023, "2305.06500"),
            "InstructBLIP: Towards General-purpose Vision-Language Models with Instruction Tuning",
        ),
    ),
    "internvl": (_INTERNVL, _INTERNVL_3),
    "kosmos-2": (
        _paper(
            *("peng2023kosmos2", "Peng, Zhiliang", 2023, "2306.14824"),
            "Kosmos-2: Grounding Multimodal Large Language Models to the World",
        ),
    ),
    "llava": (LLAVA, LLAVA_1_5, CLIP, _PIXTRAL),
    "llava_next": (LLAVA, LLAVA_1_5),
    "llava_onevision": (
        _paper("li2024llavaonevision", "Li, Bo", 2024, "2408.03326", "LLaVA-OneVision: Easy Visual Task Transfer"),
    ),
    "mllama": (
        _paper("grattafiori2024llama3", "Grattafiori, Aaron", 2024, "2407.21783", "The Llama 3 Herd of Models"),
    ),
    "paligemma": (_PALIGEMMA, _PALIGEMMA_2),
    "qwen2_vl": (
        _paper(
            *("wang2024qwen2vl", "Wang, Peng", 2024, "2409.12191"),
            "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World at Any Resolution",
        ),
    ),
    "qwen2_5_vl": (_paper("bai2025qwen25vl", "Bai, Shuai", 2025, "2502.13923", "Qwen2.5-VL Technical Report"),),
    "qwen3_vl": (_paper("bai2025qwen3vl", "Bai, Shuai", 2025, "2511.21631", "Qwen3-VL Technical Report"),),
    "smolvlm": (
        _paper(
            *("marafioti2025smolvlm", "Marafioti, Andrés", 2025, "2504.05299"),
            "SmolVLM: Redefining small and efficient multimodal models",
        ),
    ),
}
