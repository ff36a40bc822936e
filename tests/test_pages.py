"""Pages: in a real browser, clicked, with whatever words."""

import json
import re

from machinery.evaluation import compare_all, confusion, counted
from machinery.pages import mistakes_page, tagged_page

NASTY = ["<script>alert(1)</script>", '"&', "</script><!--", "\u2028", "{{data}}", "\ud800", "é"]


def look(browser, page, tmp_path):
    """Open a page; :return: a function that runs a script there"""
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []  # no error, and nothing that could not be loaded
    return browser.execute_script


def mistakes(count):
    """A page of so many sentences: every second one misses a LOC, the others invent a PER."""
    words = [[*NASTY, str(i)] for i in range(count)]
    rest = ["O"] * len(NASTY)
    gold = [["B-LOC" if i % 2 else "O", *rest] for i in range(count)]
    found = [["O" if i % 2 else 'B-"&<b>', *rest] for i in range(count)]
    compared = compare_all(gold, found)
    least = [(i * 7919 % count) / count for i in range(count)]
    everything = zip(words, least, compared, strict=True)
    sentences = [(i + 1, *some, {(0, 1): some[1]}) for i, some in enumerate(everything)]
    return mistakes_page('<i>"&', count, sentences, counted(compared), *confusion(compared))


def test_mistakes_are_filtered_and_sorted(browser, tmp_path):
    run = look(browser, mistakes(10_000), tmp_path)
    assert run("return document.title") == 'Mistakes: <i>"&'
    assert run("return document.querySelectorAll('main script, main i b, h1 i').length") == 0
    words = "return [...document.querySelectorAll('article')[0].querySelectorAll('.word > b')]"
    assert run(f"{words}.map(b => b.textContent).slice(0, 5)") == NASTY[:5]
    assert 100 <= run("return document.querySelectorAll('article').length") < 1000

    numbers = "return [...document.querySelectorAll('article')].slice(0, 50).map(a => {}(a))"
    least = numbers.format(
        "(a => Number(a.querySelectorAll('header span')[1].textContent.slice(-4)))"
    )
    assert run(least) == sorted(run(least)) and max(run(least)) < 0.1
    order = "const s = document.querySelector('select'); s.value = '{}'; s.onchange()"
    run(order.format("most"))
    assert run(least) == sorted(run(least), reverse=True) and min(run(least)) > 0.9
    run(order.format("file"))
    number = numbers.format("(a => a.querySelector('header span').textContent)")
    assert run(number)[:3] == ["sentence 1", "sentence 2", "sentence 3"]

    def click(name, value):
        for button in browser.find_elements("css selector", f"button[data-filter={name}]"):
            if button.get_attribute("data-value") == value:
                button.click()

    click("kind", "missed")
    assert run(number)[:3] == ["sentence 2", "sentence 4", "sentence 6"]
    click("type", '"&<b>')
    assert run(number) == [] and "; 0 shown" in run("return document.body.textContent")
    click("kind", "")
    assert run(number)[:2] == ["sentence 1", "sentence 3"]
    assert run("return document.querySelector('table').textContent").count("5,000") == 2
    run("scrollTo(0, document.body.scrollHeight)")
    assert "last" not in run(number)


def test_gold_is_above_and_found_below_in_the_colour_of_its_type(browser, tmp_path):
    gold, found = [["B-PER", "I-PER", "O", "B-LOC"]], [["B-LOC", "O", "O", "B-LOC"]]
    compared = compare_all(gold, found)
    sure = {(0, 1): 0.25, (3, 4): 0.75}
    rows = [(1, ["Paris", "Hilton", "in", "Paris"], 0.2, *compared, sure)]
    run = look(
        browser, mistakes_page("", 1, rows, counted(compared), *confusion(compared)), tmp_path
    )
    bars = run("""return [...document.querySelectorAll('.word')].map(word =>
      [...word.children].map(part => [
        part.textContent, part.title, part.getBoundingClientRect().top,
        getComputedStyle(part).backgroundColor, getComputedStyle(part).boxShadow]))""")
    named = [[part[0] for part in word] for word in bars]
    assert named == [
        ["PER", "Paris", "LOC"],
        ["", "Hilton", ""],
        ["", "in", ""],
        ["LOC", "Paris", "LOC"],
    ]
    assert all(above[2] < word[2] < below[2] for above, word, below in bars)
    (per, _, loc), (hilton, _, nothing), _, (right, _, same) = bars
    assert per[3] == hilton[3] != loc[3] == right[3] == same[3] != nothing[3]
    assert per[4] != "none" != loc[4] and right[4] == same[4] == "none"  # the edge of a mistake
    assert loc[1].endswith("probability 0.25") and same[1].endswith("probability 0.75")
    mistake = run("return document.querySelector('li').textContent")
    assert mistake == "wrong type and boundaries LOC for PER Paris · 0.25"


def test_long_names_and_words_fit_a_phone(browser, tmp_path):
    kind, word = "A-VERY_LONG_NAME" * 8, "x" * 300
    gold, found = [[f"B-{kind}", "O", f"B-{kind}"]], [[f"B-{kind}", f"B-{kind}", "O"]]
    compared = compare_all(gold, found)
    rows = [(1, [word, "a", word], 0.5, *compared, {(0, 1): 0.5, (1, 2): 0.5})]
    entity = {"type": kind, "text": word, "start": 0, "end": len(word), "probability": 0.5}
    browser.set_window_size(400, 800)
    for page in (
        mistakes_page("f" * 200, 1, rows, counted(compared), *confusion(compared)),
        tagged_page("f" * 200, [(f"{word} a", [entity])]),
    ):
        run = look(browser, page, tmp_path)
        assert kind in run("return document.querySelector('main').textContent")
        assert run("return document.documentElement.scrollWidth <= innerWidth")


def test_tagged_text_is_coloured_where_its_entities_are(browser, tmp_path):
    text = "👍🏽 Cafe\u0301 <script>x</script> Paris"
    found = [
        {"type": "LOC", "text": text[3:8], "start": 3, "end": 8, "probability": 0.5},
        {"type": "A&B", "text": "Paris", "start": 28, "end": 33, "probability": 0.25},
    ]
    assert [text[e["start"] : e["end"]] for e in found] == [e["text"] for e in found]
    run = look(browser, tagged_page("</title><b>", [(text, found), ("", [])]), tmp_path)
    marks = "return [...document.querySelectorAll('mark')].map(m => m.textContent)"
    assert run(marks) == ["Cafe\u0301LOC 0.50", "ParisA&B 0.25"]
    shown = run("return document.querySelector('main').textContent")
    assert shown == text.replace("Cafe\u0301", "Cafe\u0301LOC 0.50") + "A&B 0.25"
    for width in (400, 1200):
        browser.set_window_size(width, 800)
        assert run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_page_is_whole_without_anything_else():
    page = mistakes(3)
    assert not re.search(r"https?:|@import|url\(| src=", page)
    assert page.count("</script>") == 2 and page.encode()
    assert data_of(page).endswith("}") and not set("<>&") & set(data_of(page))


def data_of(page):
    """What a page shows, as JSON."""
    return page.partition('id="data">')[2].partition("</script>")[0]


def test_blank_texts_have_no_row_and_entities_are_counted():
    entity = dict(type="PER", text="Li", start=0, end=2, probability=0.5)
    data = json.loads(data_of(tagged_page("x", [("Li", [entity]), (" \n", []), ("Li", [entity])])))
    assert len(data["rows"]) == 2 and data["of_type"] == {"PER": 2}


def test_mistakes_are_of_all_sentences():
    data = json.loads(data_of(mistakes_page("x", 1234, [], {}, "", [])))
    assert data["about"] == " of 1,234 sentences have mistakes"


def test_the_command_writes_pages(run_inference, tiny_checkpoint, tiny_corpus, tmp_path):
    errors_file = tmp_path / "errors.html"
    given = "--checkpoint", tiny_checkpoint
    status, errors, output = run_inference(*given, "--html", "Dunston <b> Paris")
    assert (status, errors) == (0, []) and output.startswith("<!DOCTYPE html>")
    assert "<b> Paris" not in output
    arguments = "--evaluate", tiny_corpus, "--errors", errors_file
    status, errors, output = run_inference(*given, *arguments)
    assert status == 0, errors
    assert errors_file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(errors_file) in output
