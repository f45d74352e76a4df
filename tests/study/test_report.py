"""The page: opens from disk, says what is true, and takes no markup from a run."""

import re
import shutil
import subprocess

import pytest
from PIL import Image

from hwlit.__main__ import main
from hwlit.exports.png import write_png
from hwlit.study.page import _breakable
from tests.study.records import LABELS, matrix, pattern, write_run, write_study

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><b>x</b>&amp;"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; apt-get install chromium"
)
PROBE = """<script>
const table = document.querySelector("#overview table.sortable");
const first = () => Array.from(table.tBodies[0].rows).map((row) => row.cells[0].textContent);
const buttons = table.querySelectorAll("th button");
const told = [];
buttons[1].click(); told.push(first()); buttons[1].click(); told.push(first());
Plotly.Fx.hover("pareto-time", [{curveNumber: 1, pointNumber: 1}]);
const hover = document.querySelector("#pareto-time .hoverlayer");
const wide = document.documentElement.scrollWidth > innerWidth;
document.title = JSON.stringify([told, hover.textContent, wide, document.images.length]);
</script></body>"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three methods, of which the third has a hostile name, with pictures and plots."""
    folder = tmp_path_factory.mktemp("study")
    names = {"plain": "full", "good": "lora", "evil": HOSTILE}
    write_study(folder, {n: ({"adapter": value}, "ok") for n, value in names.items()},
                name=HOSTILE, baseline="full")  # fmt: skip
    for name, right in (("plain", 60), ("good", 90), ("evil", 89)):
        energy = 3.0, "J", "estimated: TDP"
        run = write_run(
            folder / "runs" / name, right=pattern((right, True), (100 - right, False)),
            readings={"fit/energy": energy, "fit/peak_memory": (right * 2**20, "B")},
            phases=[{"name": HOSTILE, "wall_time": 1.0}], versions={HOSTILE: HOSTILE},
            exhibits=[matrix([HOSTILE, LABELS[1]], [[40, 10], [5, 45]])],
        )  # fmt: skip
        picture = Image.new("RGB", (8, 8), "red")
        write_png(run / "samples" / "test-0000.png", picture, {"prompt": HOSTILE, "seed": 0})
    return folder


@pytest.fixture(scope="module")
def page(study):
    path = study / "report.html"
    assert main(["report", str(study), "-o", str(path)]) == 0
    return path


def test_nothing_is_loaded_and_no_name_is_markup(page):
    text = page.read_text()
    assert text.count("<img") == 3  # the pictures; each embedded
    assert text.count('<img src="data:image/png;base64,') == 3
    ours = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert ours.count("</script>") == 1  # of the figures' JSON
    assert 'onerror="' not in ours
    assert not re.search(r"(src|href)=\"?https?:", ours)


def test_the_words_are_true(page):
    text = page.read_text()
    highest = "lora has the highest accuracy: 0.900 (95 %: 0.800 to 1.000), of this run."
    assert f"{highest} It is better than full on these runs. Not told apart from" in text
    assert "is not measured for every method that has it" in text
    assert "The smallest peak memory in training: full, 60.0 MiB" in text


def test_an_output_of_another_kind(study, capsys):
    assert main(["report", str(study), "-o", "report.pdf"]) == 2
    assert "name a file that ends so" in capsys.readouterr().err


def browse(path, *options):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               f"--user-data-dir={path.parent / 'profile'}", "--virtual-time-budget=10000",
               *options, "--dump-dom", path.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.slow
@needs_chromium
def test_the_page_draws_under_its_own_policy(page):
    dom = browse(page)
    assert dom.count('class="main-svg"') >= 10
    assert "<title>broken" not in dom
    assert not re.search(r"<(text|tspan|a)[^>]*>[^<]*<(img|b)[ >]", dom)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_sorting_and_reading_a_plot(page, width):
    """A frame is as narrow as a phone; a window of Chromium is not."""
    copy = page.with_name("probed.html")
    text = re.sub(r"<meta http-equiv=.*?>", "", page.read_text(), count=1)
    copy.write_text(text.replace("</body>", PROBE))
    frame = page.with_name("frame.html")
    frame.write_text(
        f'<iframe src="probed.html" style="width:{width}px;height:900px"></iframe><script>'
        "onload = () => document.title = frames[0].document.title</script>"
    )
    dom = browse(frame, "--allow-file-access-from-files")
    title = re.search(r"<title>(.*?)</title>", dom)[1].replace("&amp;", "&")
    assert title.index('["full"') < title.index('"lora"')
    assert title.count('"full"') == 2
    assert "lora" in title.split("]]")[1]
    assert title.endswith("false,3]"), title


def test_a_quantity_wraps_before_spread_source_and_ratio_alone():
    told = _breakable("1044.1 J ±3.1 % estimated 0.65x")
    assert told.split(" ") == ["1044.1\u00a0J", "±3.1\u00a0%", "estimated", "0.65x"]
