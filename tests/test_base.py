"""The nano base: dense labels are true, batches depend on their number alone, a killed training
ends with the same weights."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.rooms import room

from spacer_utils.analysis import map_stats
from spacer_utils.core import profiles
from spacer_utils.core import rows as rows_
from spacer_utils.core.answers import parse, parse_map
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.map_reading import HOURS, LETTERS, half_cells, hours, offset, reading, steps
from spacer_utils.core.types import Box, Clip, Sample, WorkbookError
from spacer_utils.dataset import build as dataset
from spacer_utils.evaluation import evaluate
from spacer_utils.nano_base import (
    grounding,
    losses,
    map_copies,
    map_questions,
    nano,
    perception,
    stages,
)
from spacer_utils.nano_base.fresh_rooms import FreshRooms, object_cells
from spacer_utils.nano_base.map_questions import Readings
from spacer_utils.render import Renderer
from spacer_utils.render.camera import intrinsics, poses
from spacer_utils.render.furniture import CATEGORIES
from spacer_utils.training.packing import IGNORE

SMOKE = profiles.get("smoke").with_overrides(difficulty="easy")
NAMES = rf"\b(?:{'|'.join(sorted(map(re.escape, CATEGORIES), key=len, reverse=True))})\b"


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(nano.build(tmp_path_factory.mktemp("tiny"), size="tiny"))


def test_every_category_and_tag_is_one_token_and_text_comes_back(processor) -> None:
    words = processor.tokenizer
    for text in (*CATEGORIES, *nano.TAGS, *nano.SPECIAL, *nano.KEYS.values(), *nano.CELLS):
        assert len(words(text)["input_ids"]) == 1, text
    text = "<think><map>{'trash bin': [[1, 2], [9, 0]]}</map></think><answer>A. chair, 3.5 m; ü 漢</answer>\n"
    assert words.decode(words(text)["input_ids"], skip_special_tokens=True) == text
    assert words.tokenize("{'tv': [[7, 1], [2, 9]]}")[1::2] == [
        "tv': [[",
        words.tokenize("], [")[0],
        "]]",
    ]
    assert words.tokenize("{'tv': [[7, 1], [2, 9]]}")[2::2] == ["7, 1", "2, 9", "}"]
    inside, alone = words(" the chair(s) 'chair'")["input_ids"], words("chair")["input_ids"][0]
    assert inside.count(alone) == 2


def test_saved_nano_loads_with_the_plain_auto_classes(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    for family in ("qwen3_vl", "qwen2_5_vl"):
        out = nano.build(tmp_path / family, size="tiny", family=family)
        model = AutoModelForImageTextToText.from_pretrained(out)
        assert model.config.model_type == family
        assert AutoProcessor.from_pretrained(out).video_processor.patch_size == nano.PATCH
    assert (
        sum(
            p.numel()
            for p in AutoModelForImageTextToText.from_pretrained(
                nano.build(tmp_path / "n")
            ).parameters()
        )
        < 6e6
    )
    with pytest.raises(WorkbookError, match="unknown model family 'gpt'"):
        nano.build(tmp_path / "x", family="gpt")  # type: ignore[arg-type]


def test_dense_labels_name_the_object_in_its_token_and_its_cell() -> None:
    scene = room([("sofa", Box((5.4, 2.4, 0.4), (0.9, 1.8, 0.8)))], side=(6.0, 5.0))
    matrix = intrinsics(112, 112)
    camera = poses(np.array([[2.0, 2.4, 1.2]]), np.zeros(1), np.array([-0.2]), np.zeros(1))[0]
    frame = Renderer(scene, shadow=False).render(camera, matrix, 112, 112)
    clip = Clip(
        "v",
        scene,
        2.0,
        112,
        112,
        tuple(map(tuple, matrix.tolist())),
        (tuple(map(tuple, camera.tolist())),),
        {1: (0.1,)},
    )
    cells = object_cells(clip)
    assert cells == {1: (5, 9)}  # straight ahead of the first view: middle of the map's upper edge
    found = perception.labels(
        clip, frame.ids[None], frame.depth[None], cells, {"sofa": 7, perception.NOTHING: 3}, side=28
    )
    names = found.name.reshape(4, 4)
    assert (names == 7).any()
    assert (names[0] == 3).all()
    assert (found.cell[found.name == 7] == (5, 9)).all()
    assert (found.cell[found.name == 3] == -1).all()
    up, ahead, x, y, width, depth = found.camera[0]
    assert (up, ahead) == pytest.approx((0, 1), abs=1e-6)  # looks up the map
    assert (x, y) == pytest.approx(
        ((5.0 - 2.4) / 5, 2.0 / 6), abs=1e-6
    )  # from the lower half, the scan's +y being left
    assert np.exp([width, depth]) == pytest.approx((5, 6))
    seen = found.place[found.name == 7]
    assert np.allclose(seen[:, 1], np.log(3.4), atol=0.05)  # metres to the object's centre
    assert np.allclose(seen[:, 2], 0.0, atol=1e-6)  # in the middle between left and right
    shown = np.array(perception.shown(clip, [frame.ids], 28)[0])
    assert ((shown == "sofa") == (names == 7)).all()


def test_a_batch_depends_on_its_number_alone_and_labels_only_completions(processor) -> None:
    rooms = FreshRooms(processor, SMOKE, 2, seed=5, stage="draw", questions=2, text_rows=2)
    one, again = rooms.draw(1), rooms.draw(1)
    assert torch.equal(one.pixels, again.pixels)
    assert torch.equal(one.rows.ids, again.rows.ids)
    assert not torch.equal(one.pixels, rooms.draw(2).pixels)
    assert 2 * len(one.name) == int(
        (one.rows.ids == processor.video_token_id).sum()
    )  # two questions about each clip
    maps = 0
    for row, labels in zip(one.rows.ids, one.rows.labels):
        completion = processor.tokenizer.decode(row[labels != IGNORE])
        assert completion.startswith("<think>")
        assert completion.endswith("</answer><|im_end|>")
        maps += completion.count("<map>")
    assert maps == 2  # one of the questions about each clip asks for a map
    assert not (one.text.ids == processor.video_token_id).any()


def told_and_written(words, rows: map_copies.Rows) -> list[tuple[dict, dict]]:
    """The map that each text-only row tells, and the one that it wants."""
    found = []
    for ids, labels in zip(rows.ids, rows.labels):
        text, completion = (
            words.decode(ids[part], skip_special_tokens=True)
            for part in (labels == IGNORE, labels != IGNORE)
        )
        told = ast.literal_eval(text[text.index("{") : text.index("}") + 1])
        found.append((told, parse_map(parse(completion).map_text, tuple(told))))
    return found


def test_told_maps_are_written_down_in_another_order(processor) -> None:
    rooms = FreshRooms(processor, SMOKE, 4, seed=5, stage="draw", questions=1, text_rows=12)
    pairs = [
        pair
        for step in range(3)
        for pair in told_and_written(processor.tokenizer, rooms.draw(step).text)
    ]
    assert all(told == written for told, written in pairs)
    reordered = sum(list(told) != list(written) for told, written in pairs)
    assert 2 < reordered < len(pairs) - 5


def test_made_up_maps_grow_and_depend_on_their_number_alone(processor) -> None:
    drawn = map_copies.MapCopies(processor, SMOKE, rows=18, seed=5, steps=10)
    for workers in (1, 2):
        ahead = stages.ahead(drawn, first=3, workers=workers)
        assert all(torch.equal(next(ahead).ids, drawn.draw(k).ids) for k in (3, 4, 5))
    assert not torch.equal(drawn.draw(1).ids, drawn.draw(2).ids)
    first, last = drawn.draw(0), drawn.draw(9)
    assert len(first.ids) == 18
    assert len(last.ids) == 6
    few, many = (told_and_written(processor.tokenizer, rows) for rows in (first, last))
    assert max(len(told) for told, _ in few) == map_copies.FEWEST
    assert map_copies.FEWEST < max(len(told) for told, _ in many) <= map_copies.MOST
    assert all(told == written for told, written in few + many)


def test_readings_of_made_up_maps_want_the_steps_and_the_answer_that_the_map_gives(
    processor,
) -> None:
    words = processor.tokenizer
    drawn = Readings(processor, SMOKE, rows=28, drills=0, seed=5, stage="look", steps=10)
    assert torch.equal(drawn.draw(3).ids, drawn.draw(3).ids)
    assert not torch.equal(drawn.draw(3).ids, drawn.draw(4).ids)
    kinds = set()
    for step in (0, 9):
        rows = drawn.draw(step)
        for ids, labels in zip(rows.ids, rows.labels):
            given, wanted = (
                words.decode(ids[part], skip_special_tokens=True)
                for part in (labels == IGNORE, labels != IGNORE)
            )
            answer = parse(given[given.index("<think>") :] + wanted)
            assert answer.well_formed
            cells = ast.literal_eval(answer.map_text)
            question, options = (
                given[given.index("user\n") + 5 : given.index("\nMap: ")].split("\n")[0],
                given.split("\n"),
            )
            asked = list(dict.fromkeys(re.findall(NAMES, question)))
            kind = kind_of(question)
            kinds.add(kind)
            if "distance" in kind:
                asked = [asked[-1], *asked[:-1]]
            sample = Sample(
                1,
                question,
                "text",
                "",
                tuple(o for o in options if re.match("[A-D]\\. ", o)),
                "",
                "",
                "",
                kind,
                categories=tuple(asked[:5]),
                cognitive_map=cells,
            )
            assert answer.answer == reading(sample, cells)
            assert (answer.think or "").endswith(steps(sample, cells))
            assert len(cells) <= len(sample.categories) + (
                map_questions.MOST if step else map_questions.FEWEST
            )
    assert kinds == set(map_questions.KINDS)


def kind_of(question: str) -> str:
    if question.startswith("How many"):
        return "object_counting"
    if "Measuring" in question:
        return "object_rel_distance" + ("_farthest" if "farthest" in question else "")
    level = (
        "backward"
        if "away from" in question
        else "hard"
        if "front-left" in question
        else "medium"
        if "135" in question
        else "easy"
    )
    return f"object_rel_direction_{level}"


def test_drills_hold_steps_and_want_what_was_not_drawn_by_lot(processor) -> None:
    kinds = map_questions.DRILLS
    rows = Readings(processor, SMOKE, rows=0, drills=2 * len(kinds), seed=5, stage="look").draw(2)
    for kind, ids, labels in zip(2 * kinds, rows.ids, rows.labels):
        text, given, wanted = (
            processor.tokenizer.decode(ids[part], skip_special_tokens=True)
            for part in (labels < ids.max() + 1, labels == IGNORE, labels != IGNORE)
        )
        if kind in map_questions.LEADS:
            assert given.startswith(map_questions.LEADS[kind])
            cells = [
                place
                for (place,) in ast.literal_eval(
                    given[given.index("{") : given.index("}") + 1]
                ).values()
            ]
            assert f" {offset(cells[0], cells[1])}=" in wanted
            assert wanted.endswith("</think>")
        elif kind in ("ways", "distances"):
            drilled = re.findall(r";(\d), (\d)-(\d), (\d)=([^=]+)=([a-z])", text)
            assert len(drilled) == map_questions.OFFSETS
            for *numbers, walked, last in drilled:
                x, y, *here = map(int, numbers)
                assert offset(here, [x, y]).endswith(f"={walked}")
                assert (
                    last
                    == LETTERS[
                        half_cells(math.dist(here, [x, y]))
                        if kind == "distances"
                        else hours(here, [x, y])
                    ]
                )
            assert wanted == "".join(f"{walked}={last}" for *_, walked, last in drilled)
        elif kind == "turns":
            drilled = [
                [LETTERS.index(v) for v in re.split("[-=]", turn)] for turn in text.split(";")[1:]
            ]
            assert len(drilled) == map_questions.TURNS
            assert all((one - other - found) % HOURS == 0 for one, other, found in drilled)
            assert wanted == "".join(LETTERS[found] for _, _, found in drilled)
        elif kind == "best":
            chains = re.findall(r"(nearest|farthest)((?:;[A-D]=[a-z] [A-D]=[a-z])+)", text)
            assert len(chains) == map_questions.LOOKUPS
            found = []
            for word, options in chains:
                far = re.findall(r";[A-D]=([a-z])", options)
                best = [(min if word == "nearest" else max)(far[:k]) for k in range(1, 5)]
                found += [f"{'ABCD'[far.index(b)]}={b}" for b in best]
            assert wanted == "".join(found)
        elif kind == "options":
            shown = dict(line.split(". ") for line in text.split("\n")[:-1])
            sought = re.findall(r" ([a-z-]+)((?:;[A-D] [a-z-]+)+)=([A-D])", text)
            assert len(sought) == map_questions.LOOKUPS
            for says, tried, letter in sought:
                *others, last = re.findall(";([A-D]) ([a-z-]+)", tried)
                assert [a for a, _ in others] == list("ABCD"[: "ABCD".index(letter)])
                assert last == (letter, says) == (letter, shown[letter])
                for other, begun in others:
                    assert shown[other].startswith(begun)
                    assert not says.startswith(begun)
            assert wanted == "".join(f"{tried}={letter}" for _, tried, letter in sought)
        elif kind == "cut-outs":
            asked = given.split("<")[0].split(", ")
            cells = ast.literal_eval(given[given.index("{") : given.index("}") + 1])
            cut_out = {c: cells[c] for c in asked}
            assert wanted == f" {cut_out} ->"
            assert 3 <= len(asked) < len(cells)
        else:
            asked = given.split("<")[0]
            cells = ast.literal_eval(given[given.index("{") : given.index("}") + 1])
            cut_out = {c: cells[c] for c in (asked,) if c in cells}
            assert wanted == f" {asked} {cut_out} -> {len(cells.get(asked, []))}</think>"


def test_a_share_of_the_maps_of_stage_answer_is_read_before_the_answer(processor) -> None:
    given = Readings(processor, SMOKE, rows=7, drills=3, seed=5, stage="answer")
    rooms = FreshRooms(
        processor,
        SMOKE,
        12,
        seed=5,
        stage="answer",
        questions=2,
        text_rows=2,
        care=0.35,
        readings=given,
    )
    batch, made_up = rooms.draw(1), given.draw(1)
    for mine, theirs in zip(
        (batch.text.ids[2:], batch.text.labels[2:]), (made_up.ids, made_up.labels)
    ):
        assert [m[here].tolist() for m, here in zip(mine, batch.text.mask[2:].bool())] == [
            t[here].tolist() for t, here in zip(theirs, made_up.mask.bool())
        ]
    assert (batch.text.labels[~batch.text.mask.bool()] == IGNORE).all()
    copied = map_copies.Rows(
        *(part[:2] for part in (batch.text.ids, batch.text.mask, batch.text.labels))
    )
    assert all(told == again for told, again in told_and_written(processor.tokenizer, copied))
    texts = [
        processor.tokenizer.decode(ids[labels != IGNORE])
        for ids, labels in zip(batch.rows.ids, batch.rows.labels)
    ]
    maps = [text for text in texts if "<map>" in text]
    read = sum("</map> {" in text for text in maps)
    assert len(maps) == 12
    assert 0 < read < 8  # some of the maps about which a question can be read
    assert all(parse(text.removesuffix("<|im_end|>")).well_formed for text in texts)


def test_a_new_model_copies_what_a_head_reads(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    text = AutoModelForImageTextToText.from_pretrained(nano.build(tmp_path)).model.language_model
    words, vectors = nano.tokenizer(), text.embed_tokens.weight.detach()
    read = torch.randn(64, text.config.hidden_size, generator=torch.Generator().manual_seed(0))
    for layer in text.layers:
        written = layer.self_attn.o_proj(layer.self_attn.v_proj(read))
        assert float(torch.cosine_similarity(written.detach(), read).mean()) > 0.5
    for category in (
        "chair",
        "trash bin",
    ):  # what a key has in common with its category, beside what all keys have
        keys = torch.stack([vectors[words.convert_tokens_to_ids(k)] for k in nano.KEYS.values()])
        own = vectors[words.convert_tokens_to_ids(nano.KEYS[category])] - keys.mean(0)
        assert (
            float(
                torch.cosine_similarity(own, vectors[words.convert_tokens_to_ids(category)], dim=0)
            )
            > 0.9
        )
    here, beside, far = (
        vectors[words.convert_tokens_to_ids(cell)] for cell in ("3, 4", "3, 5", "8, 9")
    )
    assert float(torch.cosine_similarity(here, beside, dim=0)) > 0.6
    assert float(torch.cosine_similarity(here, far, dim=0)) < 0.3
    assert float(vectors.std()) == pytest.approx(nano.WORD_DEVIATION, rel=0.05)


def test_a_question_only_adds_to_what_was_looked_at(processor) -> None:
    seen = FreshRooms(processor, SMOKE, 2, seed=5, stage="look", text_rows=2).draw(2).rows
    assert not (seen.labels != IGNORE).any()
    asked = (
        FreshRooms(processor, SMOKE, 2, seed=5, stage="draw", questions=2, text_rows=2).draw(0).rows
    )
    row = asked.ids[0][asked.mask[0].bool()]
    assert torch.equal(row[: seen.ids.shape[1]], seen.ids[0])


def test_questions_behind_one_clip_get_the_loss_of_rows_of_their_own(
    tmp_path: Path, processor
) -> None:
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(nano.build(tmp_path, size="tiny")).eval()
    batch = FreshRooms(processor, SMOKE, 2, seed=5, stage="draw", questions=3, text_rows=2).draw(0)
    rows, heads = batch.rows, perception.Heads(model.config.text_config.hidden_size)
    assert len(rows.ids) == 6
    assert len(batch.pixels) == batch.grid.prod(1).sum()
    found = losses.map_step(model, heads, batch, processor)[1]["text"]
    pixels = batch.pixels.unflatten(0, (2, -1)).repeat_interleave(3, 0).flatten(0, 1)
    hidden = model.model(
        input_ids=rows.ids,
        attention_mask=rows.mask,
        pixel_values_videos=pixels,
        video_grid_thw=batch.grid.repeat_interleave(3, 0),
        mm_token_type_ids=losses.token_types(rows.ids, processor),
    ).last_hidden_state
    assert found == pytest.approx(float(losses.written_loss(model, hidden, rows.labels)), abs=1e-5)


def test_text_rows_go_through_the_model_in_halves_at_the_loss_of_the_whole(
    tmp_path: Path, processor
) -> None:
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(nano.build(tmp_path, size="tiny")).eval()
    rows = Readings(processor, SMOKE, rows=2, drills=5, seed=5, stage="look").draw(0)
    short, long = rows.halves()
    assert len(short.ids) + len(long.ids) == len(rows.ids) == 7
    assert short.ids.shape[1] < long.ids.shape[1] == rows.ids.shape[1]
    assert all(part.mask[:, 0].any() for part in (short, long))
    hidden = model.model(input_ids=rows.ids, attention_mask=rows.mask).last_hidden_state
    whole = losses.written_loss(model, hidden, rows.labels)
    assert float(losses.text_step(model, rows)[0]) == pytest.approx(float(whole), rel=1e-5)
    assert len(map_copies.Rows(rows.ids[:1], rows.mask[:1], rows.labels[:1]).halves()) == 1


def test_tokens_inside_the_answer_weigh_more_where_a_stage_wants_it(processor) -> None:
    words = processor.tokenizer
    text = "{'tv': [[7, 1]]}</map></think><answer>14.5</answer>"
    ids = torch.tensor([words(2 * text)["input_ids"]])
    inside = losses.answered(ids, words)
    assert words.decode(ids[inside]) == "14.5" * 2

    class Flat:
        """Every logit is 0 but those of the answer's tokens, which are right for certain."""

        @staticmethod
        def lm_head(hidden: torch.Tensor) -> torch.Tensor:
            return hidden

    hidden = torch.zeros(1, ids.shape[1], len(words))
    hidden[:, :-1][inside[:, 1:]] = (
        100 * torch.nn.functional.one_hot(ids[inside], len(words)).float()
    )
    others, answers = ids.shape[1] - 1 - 8, 8
    loss = losses.written_loss(Flat, hidden, ids, inside, 5.0)
    assert float(loss) == pytest.approx(
        math.log(len(words)) * others / (others + 5 * answers), rel=1e-4
    )


def test_the_lower_layers_alone_give_what_they_give_below_the_others(
    tmp_path: Path, processor
) -> None:
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(nano.build(tmp_path, size="tiny")).eval()
    batch = FreshRooms(processor, SMOKE, 2, seed=5, stage="look", text_rows=2).draw(0)
    heads = perception.Heads(model.config.text_config.hidden_size)
    loss, found = losses.look_step(model, heads, batch, processor)
    loss.backward()
    text = model.model.language_model
    assert len(text.layers) == model.config.text_config.num_hidden_layers
    learned = losses.map_step(model, heads, batch, processor)[1]
    for name in ("seen", "place", "known", "cell", "camera"):
        assert found[name] == pytest.approx(learned[name], abs=1e-5), name
    assert text.layers[losses.low_layers(model) - 1].mlp.up_proj.weight.grad.abs().sum() > 0


def test_the_supervised_attention_is_that_of_the_model(tmp_path: Path, processor) -> None:
    """To the tokens that show the thing just named, at the place where its first cell follows."""
    from transformers import AutoModelForImageTextToText

    folder = nano.build(tmp_path, size="tiny")
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    layer = model.model.language_model.layers[1]
    keys, cell = (
        processor.tokenizer.convert_tokens_to_ids([nano.KEYS["chair"], nano.KEYS["bed"]]),
        "3, 4",
    )
    ids = torch.tensor([[9, 10, 11, 12, *keys, 13]])
    labels = torch.full_like(ids, IGNORE)
    labels[0, 4:] = torch.tensor(processor.tokenizer.convert_tokens_to_ids(["<map>", cell, cell]))
    names, places = torch.full_like(ids, -1), torch.full_like(ids, -1)
    names[0, [0, 2, 3]] = torch.tensor([keys[0], keys[0], keys[1]])
    places[0, [0, 2, 3]] = processor.tokenizer.convert_tokens_to_ids(cell)

    def loss(names: torch.Tensor) -> tuple[float, torch.Tensor]:
        with grounding.inputs_of(layer) as given:
            seen = model.model.language_model(input_ids=ids, output_attentions=True).attentions[1][
                0, : grounding.HEADS
            ]
        given["attention_mask"] = torch.ones(1, 1, *[ids.shape[1]] * 2, dtype=torch.bool).tril()
        return float(
            grounding.grounding_loss(
                layer, given, ids, labels, names, places, processor.tokenizer
            ).detach()
        ), seen

    found, seen = loss(names)
    chair, bed = seen[:, 4, [0, 2]].sum(1), seen[:, 5, 3]
    assert found == pytest.approx(-float(torch.cat([chair, bed]).log().mean()), abs=1e-4)
    unseen = names.masked_fill(names == keys[1], -1)
    assert loss(unseen)[0] == pytest.approx(-float(chair.log().mean()), abs=1e-4)
    assert loss(torch.full_like(names, -1))[0] == 0.0


def test_the_supervised_attention_tells_instances_of_a_thing_apart(
    tmp_path: Path, processor
) -> None:
    """At every cell of a key, to the tokens that show the very instance whose cell follows."""
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(
        nano.build(tmp_path, size="tiny"), attn_implementation="eager"
    ).eval()
    layer, words = model.model.language_model.layers[1], processor.tokenizer
    chair, bed = words.convert_tokens_to_ids([nano.KEYS["chair"], nano.KEYS["bed"]])
    seen = {
        "chair 3, 4": [0],
        "chair 5, 6": [1, 2],
        "bed 5, 6": [3],
    }  # which of the first four tokens show what
    read = "<map>{'chair': [[3, 4], [5, 6]]}</map> {'chair': [[5, 6]]}"  # the last is copied from the map
    ids = torch.tensor([[9, 10, 11, 12, *words(read)["input_ids"]]])
    labels = torch.cat([torch.full((1, 4), IGNORE), ids[:, 4:]], 1)
    names, places = torch.full_like(ids, -1), torch.full_like(ids, -1)
    for thing, tokens in seen.items():
        name, cell = thing.split(" ", 1)
        names[0, tokens] = chair if name == "chair" else bed
        places[0, tokens] = words.convert_tokens_to_ids(cell)
    with grounding.inputs_of(layer) as given:
        attention = model.model.language_model(input_ids=ids, output_attentions=True).attentions[1][
            0, : grounding.HEADS
        ]
    given["attention_mask"] = torch.ones(1, 1, *[ids.shape[1]] * 2, dtype=torch.bool).tril()
    found = float(
        grounding.grounding_loss(layer, given, ids, labels, names, places, words).detach()
    )
    first, second = (
        int((ids[0] == words.convert_tokens_to_ids(cell)).nonzero()[0]) - 1
        for cell in ("3, 4", "5, 6")
    )
    wanted = torch.cat(
        [
            attention[:, first, seen["chair 3, 4"]].sum(1),
            attention[:, second, seen["chair 5, 6"]].sum(1),
        ]
    )
    assert found == pytest.approx(-float(wanted.log().mean().detach()), abs=1e-4)


def test_one_vector_says_name_and_cell(processor) -> None:
    ids, words = processor.tokenizer.convert_tokens_to_ids, perception.Words(processor.tokenizer)
    chair, sofa = ids([nano.KEYS["chair"], nano.KEYS["sofa"]])
    logits = torch.full((1, len(processor.tokenizer)), -30.0)
    logits[0, chair] = 30.0
    off = (torch.cartesian_prod(*[torch.arange(10.0)] * 2) - torch.tensor([3.0, 7.0])).norm(dim=1)
    logits[0, ids(list(nano.CELLS))] = -(off**2) / (2 * perception.SPREAD**2)
    heads = perception.Heads(8)

    def losses(name: int, cell: tuple[int, int]) -> tuple[float, float]:
        given = torch.tensor([name]), torch.tensor([cell])
        found = perception.known_loss(
            torch.zeros(1, 8), logits, heads, words, *given, torch.zeros(1, 6)
        )
        assert perception.recall(logits, words, given[0]) == (name == chair)
        assert float(perception.cells_off(logits, words, given[1])) == pytest.approx(
            math.dist(cell, (3, 7)), abs=0.01
        )
        return float(found["known"]), float(found["cell"])

    assert losses(chair, (3, 7))[0] < 1e-6 < 10 < losses(sofa, (3, 7))[0]
    where = [losses(chair, cell)[1] for cell in ((3, 7), (3, 6), (4, 6), (7, 3))]
    assert where == sorted(where)
    assert where[0] + 0.5 < where[1]


def test_stage_look_shows_full_rooms_beside_easy_ones(processor) -> None:
    def things(full_rooms: float) -> list[int]:
        rooms = FreshRooms(
            processor, SMOKE, 12, seed=5, stage="look", text_rows=2, full_rooms=full_rooms
        )
        _, _, asked = rooms._drawn(np.random.default_rng(5))
        return [len(samples[0].cognitive_map or {}) for samples in asked]

    easy, full, mixed = (things(share) for share in (0.0, 1.0, 0.5))
    most = max(easy)
    assert most <= 7
    assert max(full) > 7
    assert most < max(mixed)
    assert sum(count <= 7 for count in mixed) >= 4


@pytest.mark.slow
def test_the_whole_recipe_is_larger_on_a_gpu_and_otherwise_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert stages.whole() == stages.FULL
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(stages.os, "cpu_count", lambda: 16)
    assert stages.whole() == replace(stages.FULL, batch=64, workers=14)


def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = nano.build
    monkeypatch.setattr(nano, "build", lambda out, *, seed=0: build(out, seed=seed, size="tiny"))
    recipe = stages.Recipe(
        copy_steps=1,
        look_steps=2,
        answer_steps=2,
        mix_steps=2,
        batch=4,
        copied_maps=6,
        text_rows=2,
        readings=2,
        drills=3,
        warmup=1,
        save_steps=2,
    )
    ahead, drawn = stages.ahead, dict[str, FreshRooms]()

    def watched(batches: stages.Batches, first: int, workers: int):
        if isinstance(batches, FreshRooms):
            drawn[batches.stage] = batches
        return ahead(batches, first, workers)

    monkeypatch.setattr(stages, "ahead", watched)
    whole = stages.train(tmp_path / "whole", SMOKE, recipe, seed=3)
    text = {
        k: (d.text_rows, d.readings and (d.readings.rows, d.readings.drills))
        for k, d in drawn.items()
    }
    assert text["look"] == text["answer"] == text["mix"] == (2, (2, 3))
    assert (drawn["answer"].care, drawn["mix"].care) == (1.0, recipe.care)

    class Killed(Exception):
        pass

    def die(done: int, total: int, row: object) -> None:
        if done == 5:
            raise Killed

    for given in (
        replace(recipe, care=0.9),
        recipe,
    ):  # what another recipe has left is not gone on from
        with pytest.raises(Killed):
            stages.train(tmp_path / "cut", SMOKE, given, seed=3, progress=die)
        (tmp_path / "cut" / "start" / "notes.txt").write_text("mine")
    resumed = stages.train(tmp_path / "cut", SMOKE, recipe, seed=3)
    rows = [(r["stage"], r["step"], r["loss"]) for r in read_jsonl(tmp_path / "cut/metrics.jsonl")]
    assert rows == [
        (r["stage"], r["step"], r["loss"]) for r in read_jsonl(tmp_path / "whole/metrics.jsonl")
    ]
    assert (whole / "model.safetensors").read_bytes() == (
        resumed / "model.safetensors"
    ).read_bytes()
    assert (tmp_path / "cut" / "start" / "notes.txt").read_text() == "mine"
    with pytest.raises(
        WorkbookError,
        match="holds a finished run of training of the base, with other inputs: seed: 3 -> 4",
    ):
        stages.train(tmp_path / "cut", SMOKE, recipe, seed=4)
    assert (resumed / "model.safetensors").read_bytes() == (
        whole / "model.safetensors"
    ).read_bytes()


def test_a_base_can_be_trained_on_without_the_stages_that_it_has_had(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    given = nano.build(tmp_path / "given", size="tiny", seed=8)
    recipe = replace(stages.SHORT, answer_steps=1, mix_steps=0)
    further = stages.train(tmp_path / "further", SMOKE, recipe, seed=3, start=given)
    assert [r["stage"] for r in read_jsonl(tmp_path / "further/metrics.jsonl")] == ["answer"]
    before, after = (
        AutoModelForImageTextToText.from_pretrained(folder).state_dict()
        for folder in (given, further)
    )
    moved = [float((after[k].float() - v.float()).abs().max()) for k, v in before.items()]
    assert 0 < max(moved) < 0.02, "one step from the given weights"
    (given / "generation_config.json").write_text("{}")
    with pytest.raises(WorkbookError, match=r"other inputs: start/generation_config\.json"):
        stages.train(tmp_path / "further", SMOKE, recipe, seed=3, start=given)
    with pytest.raises(WorkbookError, match="nowhere holds no model"):
        stages.train(tmp_path / "other", SMOKE, recipe, seed=3, start=tmp_path / "nowhere")


def test_a_training_goes_on_where_only_what_decides_no_weight_has_changed(tmp_path: Path) -> None:
    def fingerprint(*about):
        return stages._inputs(tmp_path, *about).fingerprint

    known = fingerprint(SMOKE, stages.SHORT, 3)
    assert (
        fingerprint(SMOKE.with_overrides(train_rooms=99, general_rows=1), stages.SHORT, 3) == known
    )
    assert fingerprint(SMOKE, replace(stages.SHORT, save_steps=9, workers=5), 3) == known
    profiles_of = (
        SMOKE.with_overrides(num_frames=3),
        SMOKE.with_overrides(fps=9.0),
        replace(SMOKE, prompt_style="spacer"),
    )
    others = [
        (SMOKE, stages.SHORT, 4),
        (SMOKE, replace(stages.SHORT, text_lr=1.0), 3),
        *((p, stages.SHORT, 3) for p in profiles_of),
    ]
    assert len({known, *(fingerprint(*other) for other in others)}) == 6


def test_a_damaged_committed_checkpoint_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "model/model.safetensors").write_bytes(b"weights")
    (run / "metrics.jsonl").write_text("{}\n")
    target = stages.publish(run, tmp_path / "assets/base", "a card")
    monkeypatch.setattr(profiles, "PROJECT", tmp_path)
    profile = replace(SMOKE, model="assets/base")
    assert profile.model_path == str(target)
    (target / "model.safetensors").write_bytes(b"weight")
    with pytest.raises(WorkbookError, match=r"assets/base/model.safetensors is missing or damaged"):
        _ = profile.model_path


@pytest.mark.slow
def test_the_committed_base_draws_rooms_that_it_sees(tmp_path: Path) -> None:
    """On rooms of a seed that nothing else uses: maps that know more than nothing, and none of it
    without the video."""
    profile = profiles.get("cpu").with_overrides(train_rooms=1, heldout_rooms=16, general_rows=1)
    dataset.build(profile, tmp_path, seed=7105)
    asked = rows_.spread(
        [s for s in dataset.load(tmp_path / "heldout.jsonl") if s.cognitive_map], 48
    )

    def maps_of(mode: evaluate.Mode) -> dict:
        given = evaluate.answer(
            profile.model_path, asked, tmp_path, tmp_path / mode, profile, with_map=True, mode=mode
        )
        (table,) = map_stats.map_summary(map_stats.map_rows("heldout", mode, asked, given), seed=0)
        return table

    seen, blind = maps_of("video"), maps_of("blind")
    assert seen["parseable (%)"] > 95
    assert seen["low"] > 0.5
    assert seen["median cells off"] < 1.5
    assert blind["map_calibrated"] < 0.05
