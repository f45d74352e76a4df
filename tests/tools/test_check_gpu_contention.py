import pytest

from tools.check_gpu_contention import problems

ALONE = {
    "utilisation": 0.98, "others": 0.0, "shared": 0.0, "lost": None, "sampling": 0.001,
    "flops": 1e12, "causes": [],
}  # fmt: skip
SHARED = ALONE | {"others": 0.5, "causes": ["other processes on the GPU 0.50"]}


@pytest.fixture(autouse=True)
def _gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda index: "Tesla T4")


def test_a_gpu_that_tells_all_is_right():
    assert not problems(ALONE, SHARED)


@pytest.mark.parametrize(
    ("alone", "shared", "told"),
    [
        ({"lost": "no driver"}, {}, "NVML tells nothing: no driver"),
        ({"utilisation": 0.1}, {}, "shows 0.1"),
        ({"utilisation": None}, {}, "shows None"),
        ({"causes": ["shared GPU 1.00"]}, {}, "is nobody else on this GPU?"),
        ({}, {"causes": []}, "no other is told"),
        ({"sampling": 0.02}, {}, "sampling takes 2.00 %"),
        ({"flops": 70e12}, {}, "more than the peak"),
    ],
)
def test_each_fault_is_told(alone, shared, told):
    (wrong,) = problems(ALONE | alone, SHARED | shared)
    assert told in wrong
