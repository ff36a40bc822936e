"""docs/crf.html: its numbers against every path counted, and the page itself in a real browser."""

import itertools

import pytest
import torch
from walkthrough import EMISSION, GOLD, INNER, START, TRANSITION, parts

NEVER = 1e9  # JSON has no infinity

COMPUTE = """
const never = rows => rows.map(row => row.map(x => x === null ? -Infinity : x));
return arguments[0].map(s => window.crf.compute(
  {emission: never(s.emission), transition: never(s.transition), gold: s.gold}));
"""


@pytest.fixture
def page(browser, root):
    """The page, just opened, at a desk's width."""
    browser.set_window_size(1200, 900)
    browser.get((root / "docs" / "crf.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def enumerated(scores):
    """{path of tags: score}, of every path that is not forbidden"""
    every = itertools.product(INNER, repeat=len(scores) - 1)
    totals = {tags: float(sum(parts(scores, tags))) for tags in every}
    return {tags: total for tags, total in totals.items() if total > -NEVER}


def test_numbers_are_those_of_all_paths(page):
    generator = torch.Generator().manual_seed(1)
    sets = [(EMISSION.double(), TRANSITION.double(), GOLD)]
    for k in range(200):
        emission = 2 * torch.randn(4, 5, generator=generator, dtype=torch.float64)
        transition = 2 * torch.randn(5, 5, generator=generator, dtype=torch.float64)
        if k % 2:  # some cells forbidden; the way through O is always left
            transition[1:3, 1 + k % 3] = emission[k % 3, 1 + k % 2] = -torch.inf
        gold = torch.randint(1, 4, (3,), generator=generator).tolist()
        sets.append((emission, transition, gold))

    def plain(rows):
        return [[x if x > -NEVER else None for x in row] for row in rows.tolist()]

    sent = [dict(emission=plain(e), transition=plain(t), gold=g) for e, t, g in sets]
    for (emission, transition, gold), found in zip(
        sets, page.execute_script(COMPUTE, sent), strict=True
    ):
        scores = emission.unsqueeze(1) + transition
        totals = enumerated(scores)
        total = torch.tensor(list(totals.values())).double().logsumexp(0).item()
        ranked = sorted(totals, key=totals.get, reverse=True)
        assert [tuple(path["tags"]) for path in found["paths"]] == ranked
        assert tuple(found["path"]) == ranked[0]
        assert found["logZ"] == pytest.approx(total, abs=1e-5)
        assert found["best"][3][0] == pytest.approx(totals[ranked[0]], abs=1e-5)
        for path in found["paths"]:
            expected = torch.tensor(totals[tuple(path["tags"])] - total).exp().item()
            assert path["probability"] == pytest.approx(expected, abs=1e-5)
        if tuple(gold) in totals:
            assert found["loss"] == pytest.approx(total - totals[tuple(gold)], abs=1e-5)
        for k, n in itertools.product(range(3), range(3)):
            through = [s for tags, s in totals.items() if tags[k] == INNER[n]]
            share = sum(torch.tensor(s - total).exp().item() for s in through)
            assert found["marginals"][k][n] == pytest.approx(share, abs=1e-5)
            starts = itertools.product(INNER, repeat=k)
            sums = [
                sum(
                    scores[q, i, j]
                    for q, (i, j) in enumerate(itertools.pairwise([START, *tags, INNER[n]]))
                )
                for tags in starts
            ]
            alpha = torch.stack(sums).logsumexp(0).item()
            if alpha > -NEVER:
                assert found["alpha"][k][n] == pytest.approx(alpha, abs=1e-5)
            else:
                assert found["alpha"][k][n] in (None, float("-inf"))


def text(page, name):
    return page.find_element("id", name).text


def test_a_number_typed_changed_by_key_or_dragged(page):
    from selenium.webdriver import ActionChains, Keys

    cell = page.find_element("css selector", "[data-cell='transition 2 3']")
    before = text(page, "loss")
    cell.send_keys(Keys.CONTROL, "a", Keys.NULL, "0.1")
    assert text(page, "loss") != before
    assert text(page, "paths").startswith("B-LOC O O")
    cell.send_keys(Keys.ARROW_UP)
    assert cell.get_attribute("value") == "0.2"
    ActionChains(page).click_and_hold(cell).move_by_offset(20, 0).release().perform()
    assert cell.get_attribute("value") == "0.6"
    cell.send_keys(Keys.CONTROL, "a", Keys.NULL, "x")
    assert text(page, "left").startswith("21 of 27")
    page.find_element("id", "reset").click()
    assert text(page, "loss") == before
    page.find_element("id", "random").click()
    assert text(page, "loss") != before


# What is shown where, asked at once, which is faster than one by one.
SHOWN = """
const all = which => [...document.querySelectorAll(which)].map(cell => cell.innerText);
return [...arguments].map(all);
"""


def test_buttons_step_through(page):
    for name, table, words in (
        ("forward", "alpha", "log Z"),
        ("viterbi", "best", "The way back: <end> ← O ← O ← B-PER."),
    ):
        cells = [f"#{table} td.{kind}" for kind in ("now", "later", "from")]
        for k in range(10):
            page.find_element("id", name).click()
            (now,), later, origins, used, (step,) = page.execute_script(
                SHOWN, *cells, "input.used", "#step"
            )
            assert len(later) == 9 - k
            assert len(origins) == 3 * (k > 2)
            assert len(used) == (4 if k > 2 else 2)
            assert now.split()[0] in step.strip().rpartition("\n")[2]
            assert (words in step) == (k == 9)


def test_a_step_shows_the_sums(page):
    for _ in range(6):
        page.find_element("id", "viterbi").click()
    rows = [row.text for row in page.find_elements("css selector", "#step tbody tr")]
    assert rows == [
        "B-LOC 1.80 1.60 0.20 3.60",
        "B-PER 1.70 1.60 1.10 4.40",
        "O 0.80 1.60 0.80 3.20",
    ]
    assert page.find_element("css selector", "#step td.now").text == "4.40"
    assert "4.40, from B-PER" in text(page, "step")


def test_fits_a_phone_and_follows_a_finger(page):
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        dict(width=400, height=800, deviceScaleFactor=1, mobile=True),
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 400
        cell = page.find_element("css selector", "[data-cell='emission 0 1']")
        finger = ActionBuilder(page, mouse=PointerInput("touch", "finger"))
        finger.pointer_action.move_to(cell).pointer_down().move_to(cell, 10).pointer_up()
        finger.perform()
        assert cell.get_attribute("value") == "1.7"
        page.find_element("id", "forbid").click()
        for value, left in (("x", 18), ("1.7", 27)):
            finger.pointer_action.move_to(cell).pointer_down().pointer_up()
            finger.perform()
            assert cell.get_attribute("value") == value
            assert text(page, "left").startswith(f"{left} of 27")
        page.find_element("id", "forbid").click()
        finger.pointer_action.move_to(cell).pointer_down().pointer_up()
        finger.perform()
        assert cell.get_attribute("value") == "1.7"
        assert not cell.get_attribute("readonly")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
