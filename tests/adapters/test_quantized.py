import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from hwlit.adapters.base import NoSiteError
from hwlit.adapters.bitfit import BitFit
from hwlit.adapters.bitsandbytes_linear import NF4, Int8
from hwlit.adapters.chain import Chain
from hwlit.adapters.formats import Bf16, Format, Fp32
from hwlit.adapters.lora import Lora
from hwlit.adapters.quantized import LADDER, Quantized, choose
from hwlit.adapters.torchao_linear import Int4WeightOnly, Int8Dynamic, Int8WeightOnly
from hwlit.callbacks.parameters import Parameters
from hwlit.errors import UsageError
from hwlit.networks.text import load_classifier
from hwlit.tasks.text_classification import TextClassification
from hwlit.tasks.variants import requantised, variants_of

pytest.importorskip("bitsandbytes", reason='pip install "hwlit[qlora]"')
pytest.importorskip("torchao", reason='pip install "hwlit[qlora]"')
from torchao.utils import TorchAOBaseTensor

CPU = torch.device("cpu")
FORMATS = [NF4(), Int8(), Int8WeightOnly(), Bf16()]


def qlora(form, **more):
    return Chain(adapters={"base": Quantized(format=form, **more), "lora": Lora(rank=4)})


def built(adapter, pretrained):
    task = TextClassification(adapter=adapter, pretrained=pretrained, seed=3)
    task.configure_model()
    return task


@pytest.fixture
def batch():
    rows = torch.randint(4, 16, (4, 10), generator=torch.Generator().manual_seed(0))
    return {"input_ids": rows, "attention_mask": rows > 0, "labels": torch.tensor([0, 1, 0, 1])}


@torch.no_grad()
def outputs(task, batch):
    task.eval()
    return task(batch)


def gradients(task, batch):
    task.train()
    task.zero_grad()
    task.training_step(batch, 0).backward()
    return {n: p.grad for n, p in task.network.named_parameters() if p.requires_grad}


def frozen_bytes(network):
    """Every frozen value as it is held: the scales that bitsandbytes has beside its parameters,
    and the tensors that torchao has inside."""
    found = {}
    for name, tensor in network.state_dict().items():
        if "lora_" in name or "classifier" in name or "score" in name:
            continue
        inner = vars(tensor) if isinstance(tensor, TorchAOBaseTensor) else {"": tensor}
        found |= {f"{name}.{k}": t.clone() for k, t in inner.items() if torch.is_tensor(t)}
    return found


@pytest.fixture(autouse=True)
def _unlogged(monkeypatch):
    monkeypatch.setattr(TextClassification, "log", lambda *args, **named: None)


@pytest.mark.parametrize("kind", ["distilbert", "llama"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_training_after_a_validation_reaches_every_tensor_and_leaves_the_base(
    form, kind, batch, tiny_models
):
    """On CPUs with AVX512-BF16 bitsandbytes repacks 4-bit weights in the first evaluation, and
    training after it would give the update no gradient."""
    task = built(qlora(form), tiny_models[kind])
    before = frozen_bytes(task.network)
    optimizer = torch.optim.SGD([p for p in task.network.parameters() if p.requires_grad], lr=0.5)
    for _ in range(2):  # at first B is 0, and A has no gradient yet
        gradients(task, batch)
        optimizer.step()
    with torch.inference_mode():
        task.eval()
        task.validation_step(batch, 0)
    found = gradients(task, batch)
    assert sum("lora_" in name for name in found) == 8
    assert all(gradient is not None and bool(gradient.any()) for gradient in found.values())
    optimizer.step()
    after = frozen_bytes(task.network)
    assert before.keys() <= after.keys()  # 8-bit scales move, once the layer was called
    assert len(before) > 8
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("form", [*FORMATS, None], ids=lambda form: form.name if form else "auto")
def test_with_nothing_learned_it_is_the_quantised_base(form, batch, tiny_models):
    learning = built(qlora(form), tiny_models["bert"])
    base = built(Quantized(format=form), tiny_models["bert"])
    assert torch.equal(outputs(learning, batch), outputs(base, batch))


def test_heads_are_not_quantised(tiny_models):
    task = built(qlora(NF4()), tiny_models["bert"])
    assert task.heads == ("classifier", "bert.pooler.dense")
    assert {type(task.network.get_submodule(head)) for head in task.heads} == {torch.nn.Linear}
    base = task.adapter.adapters["base"]
    assert len(base.sites(task.network)) == 12  # six matrices in each of two layers
    assert task.adapter_facts()["quantisation"]["layers"] == 12
    skipped = base.base_config(task.network)["llm_int8_skip_modules"]
    assert sorted(skipped) == ["bert.pooler.dense", "classifier"]


def test_parameters_are_counted_as_weights_and_not_as_bytes(tiny_models):
    plain, quantised = (
        Parameters(built(adapter, tiny_models["bert"]).network).readings()
        for adapter in (Lora(rank=4), qlora(NF4()))
    )
    assert plain == quantised


def test_the_bytes_of_the_weights_go_by_their_bits(tiny_models):
    sizes = []
    for form in (Fp32(), Bf16(), Int8(), NF4()):
        network = built(Quantized(format=form), tiny_models["llama"]).network
        sizes.append(sum(p.nbytes for n, p in network.named_parameters() if "_proj" in n))
    assert [sizes[0] / size for size in sizes] == [1, 2, 4, 8]


@pytest.mark.parametrize("form", [NF4(), Int8WeightOnly()], ids=lambda form: form.name)
def test_merging_dequantises_first_and_quantising_again_loses(form, batch, tiny_models):
    task = built(qlora(form), tiny_models["distilbert"])
    optimizer = torch.optim.SGD([p for p in task.network.parameters() if p.requires_grad], lr=2.0)
    for _ in range(5):
        gradients(task, batch)
        optimizer.step()
    learned = outputs(task, batch)
    forms = variants_of(
        task.adapter, task.network,
        lambda: load_classifier(tiny_models["distilbert"], task.labels).network,
    )  # fmt: skip
    assert list(forms.networks) == ["reference", "base", "unmerged", "merged"]
    own = deepcopy(task)
    own.network = forms.networks["merged"]
    assert {p.dtype for p in own.network.parameters()} == {torch.float32}
    torch.testing.assert_close(outputs(own, batch), learned, atol=1e-5, rtol=1e-5)
    own.network = requantised(task.adapter, task.network)
    assert float((outputs(own, batch) - learned).abs().max()) > 1e-5
    kinds = [
        [(n, type(m)) for n, m in net.named_modules()]
        for net in (own.network, forms.networks["base"])
    ]
    assert kinds[0] == kinds[1]


def unable(monkeypatch, *names):
    """Let formats fail as on a device that cannot do them."""
    able = Format.unsupported
    monkeypatch.setattr(
        Format, "unsupported",
        lambda self, device: "no kernel" if self.name in names else able(self, device),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("failing", "got"),
    [((), "nf4"), (("nf4",), "int8"), (("nf4", "int8"), "bf16"), (("nf4", "int8", "bf16"), "fp32")],
)
def test_a_format_falls_back_to_the_next_of_more_bits(
    failing, got, monkeypatch, tiny_models, batch
):
    unable(monkeypatch, *failing)
    task = built(qlora(NF4()), tiny_models["bert"])
    told = task.adapter_facts()["quantisation"]
    assert (told["asked"], told["got"], told["fell_back"]) == ("nf4", got, got != "nf4")
    assert told["why"] == "no kernel" or got == "nf4"
    assert task.adapter.title == f"{got}+Lora"
    assert (f"asked for nf4, took {got}: no kernel" == task.adapter.remark) == (got != "nf4")
    assert task.adapter.lossless == (got == "fp32")
    assert all(g is not None for g in gradients(task, batch).values())


def test_strict_refuses_and_says_what_the_device_can_do(monkeypatch, tiny_models):
    unable(monkeypatch, "nf4", "int8")
    with pytest.raises(UsageError, match=r"nf4 .* here \(no kernel\); .* do bf16, fp32:"):
        built(qlora(NF4(), strict=True), tiny_models["bert"])


def test_auto_takes_the_fewest_bits_that_are_not_emulated(monkeypatch):
    assert choose(None, CPU).format == Bf16()
    assert "nf4 (on a CPU each call unpacks the whole weight); int8 (" in choose(None, CPU).why
    monkeypatch.setattr(NF4, "emulated", lambda self, device: None)
    assert choose(None, CPU).format == LADDER[0] == NF4()
    unable(monkeypatch, "nf4", "int8", "bf16")
    assert choose(None, CPU).format == Fp32()


@pytest.mark.parametrize("form", [Int8Dynamic(), Int4WeightOnly()], ids=lambda form: form.name)
def test_what_passes_no_gradient_is_no_base_for_others(form, tiny_models, batch):
    with pytest.raises(UsageError, match=r"no gradient passes through base .* such as NF4"):
        qlora(form)
    task = built(Quantized(format=form), tiny_models["distilbert"])  # the heads lie on top
    assert all(g is not None and bool(g.any()) for g in gradients(task, batch).values())


def test_the_base_comes_first():
    with pytest.raises(UsageError, match="must come before bitfit"):
        Chain(adapters={"bitfit": BitFit(), "base": Quantized(format=NF4())})


def test_a_target_that_matches_nothing_is_refused(tiny_models):
    with pytest.raises(NoSiteError, match="no_such_layer"):
        built(qlora(NF4(), targets=("*.no_such_layer",)), tiny_models["bert"])


def test_each_member_is_booked_in_its_own_phase(tiny_models):
    seen = []

    class Seen:
        def __init__(self, name):
            seen.append(name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            seen.append("end")

    task = TextClassification(adapter=qlora(NF4()), pretrained=tiny_models["bert"])
    task.phase = Seen
    task.configure_model()
    assert seen == ["quantise", "end", "load", "end"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no Linux")
def test_no_full_precision_stays_behind(tiny_models, tmp_path):
    """transformers maps the file of the weights, and one weight that is left keeps all of it."""
    folder = shutil.copytree(tiny_models["bert"], tmp_path / "own")
    network = load_classifier(str(folder), ("a", "b")).network
    assert str(folder) in Path("/proc/self/maps").read_text()
    Quantized(format=NF4()).attach(network)
    assert str(folder) not in Path("/proc/self/maps").read_text()
