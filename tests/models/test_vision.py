"""The towers and projectors: names and shapes of torchvision's layout, and what they compute against the slow path."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from babycli.models.parts.vision import ResNeXt, ResNeXtSpec, ViT, ViTSpec, projector, quicken, torchvision_names
from tests.models import slow_path

SMALL_RESNEXT = ResNeXtSpec(depths=(2, 1, 1, 2), stem_channels=8, width=8, groups=2, expansion=2.0)
SMALL_VIT = ViTSpec(hidden_size=32, layers=2, heads=4, patch_size=16, image_size=64)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.fixture(scope="module")
def resnext50() -> nn.Module:
    with torch.device("meta"):
        return ResNeXt(ResNeXtSpec())


@pytest.fixture(scope="module")
def vitl16() -> nn.Module:
    with torch.device("meta"):
        return ViT(ViTSpec())


def randomised(module: nn.Module) -> nn.Module:
    """With weights and statistics that no layer has by default."""
    torch.manual_seed(7)
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            tensor.copy_(torch.rand_like(tensor) * 0.2 - (0.1 if tensor.dim() > 1 else -0.5))
    return module.eval()


# ---------------------------------------------------------------- layout
#
# Numbers of parameters, as torchvision documents them, less the classifier of 1000 classes:
#
#     resnext50_32x4d   25,028,904 - (2048 x 1000 + 1000) =  22,979,904
#     vit_l_16         304,326,632 - (1024 x 1000 + 1000) = 303,301,632


def test_number_of_parameters_of_resnext50(resnext50: nn.Module) -> None:
    assert sum(p.numel() for p in resnext50.parameters()) == 25_028_904 - 2_049_000 == 22_979_904


def test_number_of_parameters_of_vitl16(vitl16: nn.Module) -> None:
    assert sum(p.numel() for p in vitl16.parameters()) == 304_326_632 - 1_025_000 == 303_301_632


def test_some_names_of_resnext50(resnext50: nn.Module) -> None:
    found = shapes(resnext50)
    assert len(found) == 6 * 53  # 53 convolutions, each with the five tensors of its norm
    assert found["conv1.weight"] == (64, 3, 7, 7)
    assert found["layer1.0.conv2.weight"] == (128, 4, 3, 3)  # 32 groups of 4
    assert found["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert found["layer3.5.bn3.running_var"] == (1024,)
    assert found["layer4.2.conv3.weight"] == (2048, 1024, 1, 1)
    assert "layer2.1.downsample.0.weight" not in found


def test_some_names_of_vitl16(vitl16: nn.Module) -> None:
    found = shapes(vitl16)
    assert len(found) == 4 + 24 * 12 + 2
    assert found["class_token"] == (1, 1, 1024)
    assert found["conv_proj.weight"] == (1024, 3, 16, 16)
    assert found["encoder.pos_embedding"] == (1, 197, 1024)
    assert found["encoder.layers.encoder_layer_23.self_attention.in_proj_weight"] == (3072, 1024)
    assert found["encoder.layers.encoder_layer_0.mlp.0.weight"] == (4096, 1024)
    assert found["encoder.layers.encoder_layer_0.mlp.3.weight"] == (1024, 4096)
    assert found["encoder.ln.bias"] == (1024,)


@pytest.fixture(scope="module")
def make_checkpoints(shared: Path) -> Iterator[ModuleType]:
    """The script that writes the reference checkpoints, with its random numbers left out: only shapes count here."""
    path = shared / "reference" / "make_checkpoints.py"
    spec = importlib.util.spec_from_file_location("make_checkpoints", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = written

    class Shapes(module.Maker):  # type: ignore[name-defined, misc]
        def w(self, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> None:
            self.sd[name] = torch.zeros(shape, device="cpu" if name == "conv1.weight" else "meta")

        def uni(self, name: str, shape: tuple[int, ...], lo: float, hi: float) -> None:
            self.w(name, shape, 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Maker", Shapes)
        yield module


def test_all_names_of_resnext50(resnext50: nn.Module, make_checkpoints: ModuleType) -> None:
    assert shapes(resnext50) == {name: tuple(w.shape) for name, w in make_checkpoints.resnext50().items()}


def test_all_names_of_vitl16(vitl16: nn.Module, make_checkpoints: ModuleType) -> None:
    expected = make_checkpoints.vit_to_torchvision(make_checkpoints.vitl16())
    assert shapes(vitl16) == {name: tuple(w.shape) for name, w in expected.items()}


def test_all_names_of_a_dino_vitl16(make_checkpoints: ModuleType) -> None:
    """timm's names, renamed by us and by the reference script."""
    dino = make_checkpoints.vitl16()
    wanted = make_checkpoints.vit_to_torchvision(dino)
    renamed = torchvision_names({f"backbone.{name}": w for name, w in dino.items()})
    assert {name: id(w) for name, w in renamed.items()} == {name: id(w) for name, w in wanted.items()}


# ---------------------------------------------------------------- what they compute


def test_resnext_computes_what_the_paper_says() -> None:
    tower = randomised(ResNeXt(SMALL_RESNEXT))
    pixels = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        out = tower(pixels)
    assert out.shape == (2, 3 * 3, 128)
    for i in range(2):
        expected = slow_path.resnext(tower.state_dict(), pixels[i], (2, 1, 1, 2), 2)
        assert torch.allclose(out[i], expected, rtol=1e-4, atol=1e-5)


def test_positions_of_resnext_run_row_by_row() -> None:
    """7 x 7 of them. A bright patch in the upper right corner is felt most at position 6, the end of the first row."""
    tower = randomised(ResNeXt(SMALL_RESNEXT))
    dark, lit = torch.zeros(1, 3, 224, 224), torch.zeros(1, 3, 224, 224)
    lit[:, :, :24, 200:] = 5
    with torch.no_grad():
        change = (tower(lit) - tower(dark)).abs().sum(-1)[0]
    assert change.shape == (49,)
    assert int(change.argmax()) == 6


def test_vit_computes_what_the_paper_says() -> None:
    tower = randomised(ViT(SMALL_VIT))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        out = tower(pixels)
    assert out.shape == (2, 1 + 4 * 4, 32)  # the class token comes along
    for i in range(2):
        expected = slow_path.vit(tower.state_dict(), pixels[i], layers=2, heads=4, patch_size=16)
        assert torch.allclose(out[i], expected, rtol=1e-4, atol=1e-5)


def test_the_class_token_comes_first() -> None:
    """In a ViT without layers, position 0 sees nothing of the picture."""
    tower = randomised(ViT(ViTSpec(hidden_size=32, layers=0, heads=4, image_size=64)))
    with torch.no_grad():
        one, other = tower(torch.randn(2, 3, 64, 64))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1:], other[1:])


# ---------------------------------------------------------------- names of other checkpoints


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone.", "encoder.", "module.encoder."])
@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("conv1.weight", "conv1.weight"),
        ("layer1.0.downsample.1.running_mean", "layer1.0.downsample.1.running_mean"),
        ("cls_token", "class_token"),
        ("pos_embed", "encoder.pos_embedding"),
        ("patch_embed.proj.bias", "conv_proj.bias"),
        ("norm.weight", "encoder.ln.weight"),
        ("blocks.7.norm1.weight", "encoder.layers.encoder_layer_7.ln_1.weight"),
        ("blocks.7.norm2.bias", "encoder.layers.encoder_layer_7.ln_2.bias"),
        ("blocks.23.attn.qkv.weight", "encoder.layers.encoder_layer_23.self_attention.in_proj_weight"),
        ("blocks.23.attn.proj.bias", "encoder.layers.encoder_layer_23.self_attention.out_proj.bias"),
        ("blocks.0.mlp.fc1.weight", "encoder.layers.encoder_layer_0.mlp.0.weight"),
        ("blocks.0.mlp.fc2.bias", "encoder.layers.encoder_layer_0.mlp.3.bias"),
    ],
)
def test_dino_names(prefix: str, name: str, renamed: str) -> None:
    assert list(torchvision_names({prefix + name: torch.zeros(1)})) == [renamed]


@pytest.mark.parametrize(
    "name",
    [
        "head.mlp.0.weight",
        "head.last_layer.weight_g",
        "module.head.mlp.0.weight",
        "backbone.head.weight",
        "fc.weight",
        "module.fc.bias",
        "heads.head.weight",
    ],
)
def test_heads_are_left_out(name: str) -> None:
    assert torchvision_names({name: torch.zeros(1)}) == {}


def test_names_that_are_torchvisions_stay(resnext50: nn.Module, vitl16: nn.Module) -> None:
    for tower in (resnext50, vitl16):
        names = list(tower.state_dict())
        assert list(torchvision_names(dict.fromkeys(names, torch.zeros(1)))) == names


# ---------------------------------------------------------------- projectors


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", {"weight": (5, 7), "bias": (5,)}),
        ("identity", {}),
        ("mlp1x_gelu", {"0.weight": (5, 7), "0.bias": (5,)}),
        ("mlp2x_gelu", {"0.weight": (5, 7), "0.bias": (5,), "2.weight": (5, 5), "2.bias": (5,)}),
        (
            "mlp3x_gelu",
            {
                "0.weight": (5, 7),
                "0.bias": (5,),
                "2.weight": (5, 5),
                "2.bias": (5,),
                "4.weight": (5, 5),
                "4.bias": (5,),
            },
        ),
    ],
)
def test_weights_of_a_projector(kind: str, expected: dict[str, tuple[int, ...]]) -> None:
    assert shapes(projector(kind, 7, 5)) == expected


def test_what_a_projector_computes() -> None:
    """x (0.5 + ...): the exact GELU, not its tanh approximation."""
    module = projector("mlp3x_gelu", 2, 2)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            tensor.copy_(torch.eye(2) if name.endswith("weight") else torch.zeros(2))
        out: Tensor = module(torch.tensor([1.0, -2.0]))
    gelu = torch.tensor([0.8413447, -0.0455003])  # x Phi(x) at 1 and -2
    again = gelu * torch.tensor([0.7999226, 0.4818548])  # times Phi(0.8413447), Phi(-0.0455003)
    assert torch.allclose(out, again, atol=1e-6)


@pytest.mark.parametrize("kind", ["resampler", "mlp0x_gelu", "mlp2x_relu", "mlpx_gelu", "", "None", "mlp2x_gelu_norm"])
def test_unknown_projectors(kind: str) -> None:
    with pytest.raises(ValueError, match="mm_projector_type"):
        projector(kind, 7, 5)


# ---------------------------------------------------------------- made faster


def is_merged(tower: nn.Module) -> bool:
    return not any(isinstance(module, nn.BatchNorm2d) for module in tower.modules())


def is_channels_last(tower: nn.Module) -> bool:
    return all(p.is_contiguous(memory_format=torch.channels_last) for p in tower.parameters() if p.dim() == 4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_a_quickened_resnext_sees_the_same(dtype: torch.dtype, tolerance: float) -> None:
    """Against the slow path in float64, relative to the largest feature."""
    tower = randomised(ResNeXt(SMALL_RESNEXT))
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        wanted = copy.deepcopy(tower).double()(pixels.double())
        quick = tower.to(dtype)
        quicken(quick, "cpu")
        got = quick(pixels.to(dtype))
    assert got.dtype == dtype
    assert is_merged(quick)
    assert is_channels_last(quick)
    assert float((got.double() - wanted).abs().max() / wanted.abs().max()) < tolerance


@pytest.mark.parametrize(("dtype", "device"), [(torch.bfloat16, "cuda"), (torch.float16, "cuda")])
def test_half_precision_on_a_gpu_is_left_as_it_is(dtype: torch.dtype, device: str) -> None:
    """Weights that are merged are rounded a second time."""
    tower = randomised(ResNeXt(SMALL_RESNEXT)).to(dtype)
    before = shapes(tower)
    quicken(tower, device)
    assert shapes(tower) == before
    assert not is_merged(tower)
