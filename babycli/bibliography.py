"""The papers behind tasks, data, models and software, and their form as BibTeX.

Owns what stands in an entry. Which papers belong to a task, a set of data or a family of models, these say themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from babycli import __version__

KIND_ARTICLE, KIND_PROCEEDINGS, KIND_BOOK, KIND_OTHER = "article", "inproceedings", "book", "misc"
AUTHORS = "The babycli authors"


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper, or what else one cites. Names are ``Family, Given``; "others" ends a list that is too long."""

    key: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    kind: str = KIND_OTHER
    venue: str = ""  # the journal, the proceedings, or the publisher
    volume: str = ""
    number: str = ""
    pages: str = ""  # "504--511"
    doi: str = ""
    arxiv: str = ""
    note: str = ""
    # Authors that are no person, whose name has no parts.
    is_by_a_group: bool = field(default=False, kw_only=True)

    @property
    def names(self) -> str:
        """The authors as a text names them: ``Korn & Graubard``, ``Sullivan et al.``."""
        first, *others = (name.partition(",")[0] for name in self.authors)
        return f"{first} et al." if len(others) > 1 else " & ".join([first, *others])

    @property
    def short(self) -> str:
        """What stands in a text for it: ``Korn & Graubard 1998``."""
        return f"{self.names} {self.year}"

    def to_bibtex(self) -> str:
        """Writes the entry; its title keeps its capitals."""
        authors = " and ".join(f"{{{name}}}" if self.is_by_a_group else name for name in self.authors)
        places = {KIND_ARTICLE: "journal", KIND_PROCEEDINGS: "booktitle", KIND_BOOK: "publisher"}
        place = places.get(self.kind, "howpublished")
        fields = {
            "title": f"{{{self.title}}}",
            "author": authors,
            "year": "" if self.year is None else str(self.year),
            place: self.venue,
            "volume": self.volume,
            "number": self.number,
            "pages": self.pages,
            "doi": self.doi,
            "eprint": self.arxiv,
            "archivePrefix": "arXiv" if self.arxiv else "",
            "note": self.note,
        }
        lines = [f"  {name} = {{{value}}},\n" for name, value in fields.items() if value]
        return f"@{self.kind}{{{self.key},\n{''.join(lines)}}}\n"


_LONGEST_VERSION = 60  # characters; a log may say anything


def own_entry(versions: Sequence[str]) -> Paper:
    """Makes the entry of babycli in the versions that made some runs; without any, in this one."""
    told = [re.sub(r"[^A-Za-z0-9.+_-]", "?", version)[:_LONGEST_VERSION] for version in versions or [__version__]]
    return Paper(
        "babycli",
        "babycli",
        (AUTHORS,),
        None,
        venue="Python package",
        note=f"Version{'s' if len(versions) > 1 else ''} {', '.join(told)}",
        is_by_a_group=True,
    )


BABYVLM = Paper(
    "wang2025babyvlm",
    "BabyVLM: Data-Efficient Pretraining of VLMs Inspired by Infant Learning",
    ("Wang, Shengao", "Chandra, Arjun", "Liu, Aoming", "Saligrama, Venkatesh", "Gong, Boqing"),
    2025,
    KIND_PROCEEDINGS,
    "Proceedings of the IEEE/CVF International Conference on Computer Vision (ICCV)",
    pages="1380--1390",
    arxiv="2504.09426",
)
BABYVLM_V2 = Paper(
    "wang2025babyvlmv2",
    "BabyVLM-V2: Toward Developmentally Grounded Pretraining and Benchmarking of Vision Foundation Models",
    (
        *("Wang, Shengao", "Wang, Wenqi", "Wang, Zecheng", "Whitton, Max", "Wakeham, Michael", "Chandra, Arjun"),
        *("Huang, Joey", "Zhu, Pengyue", "Chen, Helen", "Li, David", "Li, Jeffrey", "Li, Shawn", "Zagula, Andrew"),
        *("Zhao, Amy", "Zhu, Andrew", "Nakamura, Sayaka", "Yamamoto, Yuki", "Yokono, Jerry Jun", "Mueller, Aaron"),
        *("Plummer, Bryan A.", "Saenko, Kate", "Saligrama, Venkatesh", "Gong, Boqing"),
    ),
    2025,
    arxiv="2512.10932",
)
CVCL = Paper(
    "vong2024grounded",
    "Grounded language acquisition through the eyes and ears of a single child",
    ("Vong, Wai Keen", "Wang, Wentao", "Orhan, A. Emin", "Lake, Brenden M."),
    2024,
    KIND_ARTICLE,
    "Science",
    "383",
    "6682",
    "504--511",
    "10.1126/science.adi1374",
)
ORHAN = Paper(
    "orhan2020selfsupervised",
    "Self-supervised learning through the eyes of a child",
    ("Orhan, A. Emin", "Gupta, Vaibhav V.", "Lake, Brenden M."),
    2020,
    KIND_PROCEEDINGS,
    "Advances in Neural Information Processing Systems",
    "33",
    pages="9960--9971",
    arxiv="2007.16189",
)
WINOGROUND = Paper(
    "thrush2022winoground",
    "Winoground: Probing Vision and Language Models for Visio-Linguistic Compositionality",
    (
        *("Thrush, Tristan", "Jiang, Ryan", "Bartolo, Max", "Singh, Amanpreet", "Williams, Adina", "Kiela, Douwe"),
        "Ross, Candace",
    ),
    2022,
    KIND_PROCEEDINGS,
    "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="5238--5248",
    arxiv="2204.03162",
)
METEOR = Paper(
    "banerjee2005meteor",
    "METEOR: An Automatic Metric for MT Evaluation with Improved Correlation with Human Judgments",
    ("Banerjee, Satanjeev", "Lavie, Alon"),
    2005,
    KIND_PROCEEDINGS,
    "Proceedings of the ACL Workshop on Intrinsic and Extrinsic Evaluation Measures for Machine Translation and/or "
    "Summarization",
    pages="65--72",
)
SAYCAM = Paper(
    "sullivan2021saycam",
    "SAYCam: A Large, Longitudinal Audiovisual Dataset Recorded From the Infant's Perspective",
    ("Sullivan, Jessica", "Mei, Michelle", "Perfors, Andrew", "Wojcik, Erica", "Frank, Michael C."),
    2021,
    KIND_ARTICLE,
    "Open Mind",
    "5",
    pages="20--29",
    doi="10.1162/opmi_a_00039",
)
EGO4D = Paper(
    "grauman2022ego4d",
    "Ego4D: Around the World in 3,000 Hours of Egocentric Video",
    ("Grauman, Kristen", "Westbury, Andrew", "Byrne, Eugene", "others"),
    2022,
    KIND_PROCEEDINGS,
    "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="18995--19012",
    arxiv="2110.07058",
)
BABYVIEW = Paper(
    "long2024babyview",
    "The BabyView dataset: High-resolution egocentric videos of infants' and young children's everyday experiences",
    (
        *("Long, B. L.", "Sparks, R. Z.", "Xiang, V.", "Stojanov, S.", "Yin, Z.", "Keene, G.", "Tan, A. W. M."),
        *("Feng, S. Y.", "Nag, A.", "Zhuang, C.", "Marchman, V. A.", "Yamins, D. L. K.", "Frank, M. C."),
    ),
    2024,
    arxiv="2406.10447",
)
EGOBABYVLM = Paper(
    "lin2026egobabyvlm",
    "EgoBabyVLM: Benchmarking Cross-Modal Learning from Naturalistic Egocentric Video Data",
    (
        *("Lin, Dongyan", "Rust, Phillip", "Villar-Corrales, Angel", "Tan, Alvin W. M.", "Luthra, Mahi"),
        *("Saint-James, Charles-Éric", "Moritz, Rashel", "Krogh-Jespersen, Sheila", "Stark, Vanessa"),
        *("Parimi, Surya", "Shen, Jiayi", "Benchekroun, Youssef", "Higuchi, Yosuke", "Gleize, Martin"),
        *("Fizycki, Tom", "Hamilakis, Nicolas", "Khentout, Manel", "Tsuji, Sho", "Kégl, Balázs", "Pino, Juan"),
        *("Frank, Michael C.", "Dupoux, Emmanuel"),
    ),
    2026,
    arxiv="2605.19130",
)
CLIP = Paper(
    "radford2021clip",
    "Learning Transferable Visual Models From Natural Language Supervision",
    (
        *("Radford, Alec", "Kim, Jong Wook", "Hallacy, Chris", "Ramesh, Aditya", "Goh, Gabriel", "Agarwal, Sandhini"),
        *("Sastry, Girish", "Askell, Amanda", "Mishkin, Pamela", "Clark, Jack", "Krueger, Gretchen", "Sutskever, Ilya"),
    ),
    2021,
    KIND_PROCEEDINGS,
    "Proceedings of the 38th International Conference on Machine Learning (ICML)",
    "139",
    pages="8748--8763",
    arxiv="2103.00020",
)
SIGLIP = Paper(
    "zhai2023siglip",
    "Sigmoid Loss for Language Image Pre-Training",
    ("Zhai, Xiaohua", "Mustafa, Basil", "Kolesnikov, Alexander", "Beyer, Lucas"),
    2023,
    KIND_PROCEEDINGS,
    "Proceedings of the IEEE/CVF International Conference on Computer Vision (ICCV)",
    pages="11975--11986",
    arxiv="2303.15343",
)
ALIGN = Paper(
    "jia2021align",
    "Scaling Up Visual and Vision-Language Representation Learning With Noisy Text Supervision",
    ("Jia, Chao", "others"),
    2021,
    KIND_PROCEEDINGS,
    "Proceedings of the 38th International Conference on Machine Learning (ICML)",
    arxiv="2102.05918",
)
BLIP = Paper(
    "li2022blip",
    "BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language Understanding and Generation",
    ("Li, Junnan", "others"),
    2022,
    KIND_PROCEEDINGS,
    "Proceedings of the 39th International Conference on Machine Learning (ICML)",
    arxiv="2201.12086",
)
FLAVA = Paper(
    "singh2022flava",
    "FLAVA: A Foundational Language And Vision Alignment Model",
    ("Singh, Amanpreet", "others"),
    2022,
    KIND_PROCEEDINGS,
    "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    arxiv="2112.04482",
)
ALT_CLIP = Paper(
    "chen2022altclip",
    "AltCLIP: Altering the Language Encoder in CLIP for Extended Language Capabilities",
    ("Chen, Zhongzhi", "others"),
    2022,
    arxiv="2211.06679",
)
CHINESE_CLIP = Paper(
    "yang2022chineseclip",
    "Chinese CLIP: Contrastive Vision-Language Pretraining in Chinese",
    ("Yang, An", "others"),
    2022,
    arxiv="2211.01335",
)
META_CLIP_2 = Paper(
    "chuang2025metaclip2",
    "Meta CLIP 2: A Worldwide Scaling Recipe",
    ("Chuang, Yung-Sung", "others"),
    2025,
    arxiv="2507.22062",
)
SIGLIP_2 = Paper(
    "tschannen2025siglip2",
    "SigLIP 2: Multilingual Vision-Language Encoders with Improved Semantic Understanding, Localization, and "
    "Dense Features",
    ("Tschannen, Michael", "others"),
    2025,
    arxiv="2502.14786",
)
LLAVA = Paper(
    "liu2023llava",
    "Visual Instruction Tuning",
    ("Liu, Haotian", "Li, Chunyuan", "Wu, Qingyang", "Lee, Yong Jae"),
    2023,
    KIND_PROCEEDINGS,
    "Advances in Neural Information Processing Systems",
    "36",
    arxiv="2304.08485",
)
LLAVA_1_5 = Paper(
    "liu2024llava15",
    "Improved Baselines with Visual Instruction Tuning",
    ("Liu, Haotian", "Li, Chunyuan", "Li, Yuheng", "Lee, Yong Jae"),
    2024,
    KIND_PROCEEDINGS,
    "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
    pages="26296--26306",
    arxiv="2310.03744",
)
TRANSFORMERS = Paper(
    "wolf2020transformers",
    "Transformers: State-of-the-Art Natural Language Processing",
    (
        *("Wolf, Thomas", "Debut, Lysandre", "Sanh, Victor", "Chaumond, Julien", "Delangue, Clement", "Moi, Anthony"),
        *("Cistac, Pierric", "Rault, Tim", "Louf, Remi", "Funtowicz, Morgan", "Davison, Joe", "Shleifer, Sam"),
        *("von Platen, Patrick", "Ma, Clara", "Jernite, Yacine", "Plu, Julien", "Xu, Canwen", "Le Scao, Teven"),
        *("Gugger, Sylvain", "Drame, Mariama", "Lhoest, Quentin", "Rush, Alexander M."),
    ),
    2020,
    KIND_PROCEEDINGS,
    "Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing: System Demonstrations",
    pages="38--45",
    doi="10.18653/v1/2020.emnlp-demos.6",
)
PYTORCH = Paper(
    "ansel2024pytorch",
    "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and Graph Compilation",
    ("Ansel, Jason", "Yang, Edward", "He, Horace", "others"),
    2024,
    KIND_PROCEEDINGS,
    "29th ACM International Conference on Architectural Support for Programming Languages and Operating Systems, "
    "Volume 2 (ASPLOS '24)",
    pages="929--947",
    doi="10.1145/3620665.3640366",
)
WILSON = Paper(
    "wilson1927probable",
    "Probable Inference, the Law of Succession, and Statistical Inference",
    ("Wilson, Edwin B.",),
    1927,
    KIND_ARTICLE,
    "Journal of the American Statistical Association",
    "22",
    "158",
    "209--212",
    "10.1080/01621459.1927.10502953",
)
MILLER = Paper(
    "miller2024errorbars",
    "Adding Error Bars to Evals: A Statistical Approach to Language Model Evaluations",
    ("Miller, Evan",),
    2024,
    arxiv="2411.00640",
)
KORN_GRAUBARD = Paper(
    "korn1998confidence",
    "Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data",
    ("Korn, Edward L.", "Graubard, Barry I."),
    1998,
    KIND_ARTICLE,
    "Survey Methodology",
    "24",
    pages="193--201",
)
EFRON_TIBSHIRANI = Paper(
    "efron1993bootstrap",
    "An Introduction to the Bootstrap",
    ("Efron, Bradley", "Tibshirani, Robert J."),
    1993,
    KIND_BOOK,
    r"Chapman \& Hall",
)
COCHRAN = Paper("cochran1977sampling", "Sampling Techniques", ("Cochran, William G.",), 1977, KIND_BOOK, "Wiley")
MCNEMAR = Paper(
    "mcnemar1947note",
    "Note on the sampling error of the difference between correlated proportions or percentages",
    ("McNemar, Quinn",),
    1947,
    KIND_ARTICLE,
    "Psychometrika",
    "12",
    "2",
    "153--157",
    "10.1007/BF02295996",
)
DAVISON_HINKLEY = Paper(
    "davison1997bootstrap",
    "Bootstrap Methods and their Application",
    ("Davison, A. C.", "Hinkley, D. V."),
    1997,
    KIND_BOOK,
    "Cambridge University Press",
)
BONETT_PRICE = Paper(
    "bonett2012adjusted",
    "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data",
    ("Bonett, Douglas G.", "Price, Robert M."),
    2012,
    KIND_ARTICLE,
    "Journal of Educational and Behavioral Statistics",
    "37",
    "4",
    "479--488",
    "10.3102/1076998611411915",
)
HOLM = Paper(
    "holm1979simple",
    "A Simple Sequentially Rejective Multiple Test Procedure",
    ("Holm, Sture",),
    1979,
    KIND_ARTICLE,
    "Scandinavian Journal of Statistics",
    "6",
    "2",
    "65--70",
)
