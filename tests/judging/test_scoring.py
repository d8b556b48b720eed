"""Scores by declaration: subsets, pairs, composites and usages; and the file formats that can be scored."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from competition.base import toml
from competition.base.errors import InputError
from competition.data.challenge import Challenge, open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from competition.judging import answers as private
from competition.judging.answers import read_answers
from competition.judging.formats import read_predictions
from competition.judging.scoring import score, score_report
from competition.score import main

NUM_ROWS = 200
SCORES = (
    Score.of("pearson_r2", "overall", weights={"all": 1.0, "high": 0.3, "snv": 1.25}),
    Score.of("pearson"),
    Score.of("mse"),
    Score.of("spearman", "high", subset="high"),
    Score.of("pearson", "snv", subset="snv"),
)
TOY = Declaration("toy", (Target("expression"),), SCORES, subsets={"high": "rows", "snv": "pairs"})


def toy_answers() -> pd.DataFrame:
    """Answers of 200 rows: the first half is public, the last 10 are unknown."""
    truth = np.random.default_rng(0).normal(10, 3, NUM_ROWS)
    truth[-10:] = np.nan
    usage = np.where(np.arange(NUM_ROWS) < 100, "public", "private")
    return pd.DataFrame({"id": [f"r{i}" for i in range(NUM_ROWS)], "expression": truth, "usage": usage})


def toy_subsets() -> pd.DataFrame:
    """Rows 0, 3, 6, ... are high; row i + 50 is a variant of row i, so 50 pairs are mixed."""
    rows = [("high", f"r{i}", "") for i in range(0, NUM_ROWS, 3)]
    pairs = [("snv", f"r{i + 50}", f"r{i}") for i in range(150)]
    return pd.DataFrame([*rows, *pairs], columns=["subset", "id", "reference"])


def build(
    folder: Path,
    *,
    challenge: Declaration = TOY,
    answers: pd.DataFrame | None = None,
    subsets: pd.DataFrame | None = None,
) -> Challenge:
    answers = toy_answers() if answers is None else answers
    letters = np.random.default_rng(1).integers(0, 4, (len(answers), 12)).astype(np.uint8)
    with create_challenge(folder, challenge) as writer:
        target = np.ones((4, len(challenge.targets)))
        writer.train.append(letters[:4], np.full(4, 12), target=target)
        writer.test.append(letters, np.full(len(letters), 12), rows={"id": answers["id"]})
        writer.write_answers(answers)
        if challenge.subsets:
            writer.write_table("subsets", toy_subsets() if subsets is None else subsets)
    return open_challenge(folder)


def predict(noise: float = 1.0, seed: int = 5) -> pd.DataFrame:
    """A prediction of every row, in another order than the answers'."""
    answers, rng = toy_answers(), np.random.default_rng(seed)
    values = answers["expression"].fillna(10) + noise * rng.normal(size=NUM_ROWS)
    return pd.DataFrame({"id": answers["id"], "expression": values}).sample(frac=1, random_state=3)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Challenge:
    return build(tmp_path_factory.mktemp("data") / "toy")


def known(frame: pd.DataFrame) -> pd.DataFrame:
    """Truth and prediction side by side, by id."""
    return toy_answers().merge(frame, on="id", suffixes=("_truth", "")).dropna()


def test_true_answers_win_in_every_score_and_usage(toy):
    scores = score(toy, predict(noise=0))
    for usage in ("public", "private", "all"):
        assert scores[usage] == {"overall": 1.0, "pearson": 1.0, "mse": 0.0, "high": 1.0, "snv": 1.0}


def test_shuffled_answers_score_about_zero(toy):
    answers = toy_answers().fillna(10.0)
    shuffled = np.random.default_rng(0).permutation(answers["expression"])
    scores = score(toy, answers.assign(expression=shuffled)[["id", "expression"]])
    assert abs(scores["all"]["pearson"]) < 3 / np.sqrt(NUM_ROWS)
    assert scores["all"]["overall"] < 9 / 50


def test_a_constant_is_refused(toy):
    with pytest.raises(InputError, match=r"expression is 11\.1 in all 200 rows"):
        score(toy, predict().assign(expression=11.1))


def test_a_constant_with_the_noise_of_float32_is_refused(toy):
    noise = np.random.default_rng(0).normal(0, 1e-6, NUM_ROWS)
    with pytest.raises(InputError, match=r"expression is 11\.1 in all 200 rows"):
        score(toy, predict().assign(expression=11.1 + noise))


def test_rows_are_matched_by_id_and_never_by_position(toy):
    frame = predict()
    assert score(toy, frame) == score(toy, frame.sort_values("id")) == score(toy.folder, frame[::-1])


def test_each_usage_is_scored_on_its_own_known_rows(toy):
    frame = predict()
    scores = score(toy, frame)
    for usage, rows in known(frame).groupby("usage"):
        assert scores[usage]["pearson"] == pytest.approx(
            stats.pearsonr(rows.expression_truth, rows.expression)[0]
        )
    rows = known(frame)
    assert scores["all"]["mse"] == pytest.approx(np.mean((rows.expression_truth - rows.expression) ** 2))


def test_a_subset_of_rows_is_scored_on_these_rows(toy):
    frame = predict()
    rows = known(frame)
    rows = rows[rows["id"].isin([f"r{i}" for i in range(0, NUM_ROWS, 3)])]
    expected = stats.spearmanr(rows.expression_truth, rows.expression)[0]
    assert score(toy, frame)["all"]["high"] == pytest.approx(expected)


@pytest.mark.parametrize(("usage", "pairs"), [("public", (0, 50)), ("private", (50, 140)), ("all", (0, 140))])
def test_a_pair_is_scored_by_its_difference_and_public_only_where_both_rows_are(toy, usage, pairs):
    frame = predict()
    table = known(frame).set_index("id")
    rows, references = ([f"r{i + shift}" for i in range(*pairs)] for shift in (50, 0))
    change = table.loc[rows, ["expression", "expression_truth"]].to_numpy()
    change -= table.loc[references, ["expression", "expression_truth"]].to_numpy()
    assert score(toy, frame)[usage]["snv"] == pytest.approx(stats.pearsonr(*change.T)[0])


def test_a_difference_is_the_row_minus_its_reference(toy):
    answers = read_answers(toy)
    change = answers.subsets["snv"].differences(answers.truth)
    np.testing.assert_array_equal(change, answers.truth[50:200] - answers.truth[:150])


def test_a_composite_is_the_weighted_mean_of_its_metric(toy):
    challenge = replace(TOY, scores=(*SCORES, Score.of("pearson_r2", "high_r2", subset="high")))
    scores = score_report(replace(read_answers(toy), declaration=challenge), predict()).scores["all"]
    parts = 1.0 * scores["pearson"] ** 2 + 0.3 * scores["high_r2"] + 1.25 * scores["snv"] ** 2
    assert scores["overall"] == pytest.approx(parts / 2.55)


def test_rows_and_pairs_count_once_however_often_they_are_listed(tmp_path, toy):
    doubled = pd.concat([toy_subsets(), toy_subsets()[::7]])
    twice = build(tmp_path / "toy", subsets=doubled)
    assert score(twice, predict()) == score(toy, predict())


def test_a_usage_given_with_a_subset_wins_over_the_rows(tmp_path):
    given = ["public" if name == "high" else "" for name in toy_subsets()["subset"]]
    scores = score(build(tmp_path / "toy", subsets=toy_subsets().assign(usage=given)), predict())
    assert scores["public"]["high"] == scores["all"]["high"]
    assert "high" not in scores["private"]
    assert scores["public"]["snv"] != scores["all"]["snv"]


def test_a_subset_without_known_rows_leaves_its_score_and_its_composites_out_with_the_reason(tmp_path):
    answers = toy_answers()
    answers.loc[::3, "expression"] = np.nan
    report = score_report(read_answers(build(tmp_path / "toy", answers=answers)), predict())
    assert set(report.scores["all"]) == {"pearson", "mse", "snv"}
    for name in ("high", "overall"):
        assert report.absent["all"][name] == "subset 'high': the truth of 0 rows is known; wanted at least 2"


def test_a_constant_on_a_subset_has_no_score_there_and_counts_for_the_rest(toy):
    frame = predict().set_index("id")
    frame.loc[[f"r{i}" for i in range(0, NUM_ROWS, 3)], "expression"] = 7.0
    report = score_report(read_answers(toy), frame.reset_index())
    assert "pearson" in report.scores["all"]
    assert "the prediction is constant (7 in " in report.absent["all"]["high"]
    assert "overall" in report.absent["all"]


def test_a_known_row_must_be_predicted_and_an_unknown_one_may_be_left_out(toy):
    frame = predict()
    unknown = frame["id"].isin([f"r{i}" for i in range(190, 200)])
    assert score(toy, frame[~unknown]) == score(toy, frame)
    with pytest.raises(InputError, match=r"1 missing id \(r17\)"):
        score(toy, frame[frame["id"] != "r17"])


def test_everything_wrong_with_predictions_is_said_at_once(toy):
    frame = predict().set_index("id")
    frame.loc["r3", "expression"] = np.inf
    frame = pd.concat([frame.drop(index="r5"), frame.loc[["r8"]], frame.loc[["r9"]].rename({"r9": "x"})])
    with pytest.raises(InputError) as error:
        score(toy, frame.reset_index())
    for part in ("1 duplicate id (r8)", "1 missing id (r5)", "1 unknown id (x)", "infinite in 1 row"):
        assert part in str(error.value)


def test_two_targets_are_averaged_and_unknown_per_target(tmp_path):
    one = toy_answers()
    two = pd.DataFrame({"id": one.id, "yeast": one.expression, "human": one.expression[::-1].to_numpy()})
    challenge = Declaration("two", (Target("yeast"), Target("human")), SCORES[1:3])
    opened = build(tmp_path / "two", challenge=challenge, answers=two.assign(usage="private"))
    frame = two.fillna(10).assign(human=predict().sort_index()["expression"].to_numpy())
    scores = score(opened, frame[["human", "id", "yeast"]])
    both = pd.DataFrame({"t": two.human, "p": frame.human}).dropna()
    assert scores["all"]["pearson"] == pytest.approx((1 + stats.pearsonr(both.t, both.p)[0]) / 2)
    assert scores["public"] == {}


def tamper(folder: Path, name: str, text: str) -> None:
    """Write a private file and its checksum anew."""
    (folder / "private" / name).write_text(text)
    digests = {p.name: private.file_digest(p) for p in (folder / "private").glob("*.csv")}
    (folder / "private" / "checksums.toml").write_text(toml.dumps({"files": digests}))


def test_the_digest_of_the_answers_follows_answers_and_subsets_and_nothing_else(tmp_path):
    first = toy_answers()
    other = {
        "again": {},
        "titled": {"challenge": replace(TOY, title="edited", ceiling={"pearson": 0.9})},
        "answers": {"answers": first.assign(expression=first.expression + 1)},
        "usage": {"answers": first.assign(usage="private")},
        "subsets": {"subsets": toy_subsets().iloc[1:]},
    }
    digests = {name: read_answers(build(tmp_path / name, **how)).digest for name, how in other.items()}
    assert digests["again"] == digests["titled"]
    assert len(set(digests.values())) == 4


def test_answers_that_changed_are_refused(tmp_path):
    folder = build(tmp_path / "toy").folder
    with (folder / "private" / "answers.csv").open("a") as file:
        file.write("r999,1.0,public\n")
    with pytest.raises(InputError, match=r"answers.csv has changed since the challenge was built"):
        read_answers(folder)


@pytest.mark.parametrize("name", ["answers.csv", "subsets.csv", "checksums.toml"])
def test_a_private_file_that_is_missing_is_said(tmp_path, name):
    opened = build(tmp_path / "toy")
    (opened.folder / "private" / name).unlink()
    with pytest.raises(InputError, match=name.split(".")[0]):
        read_answers(opened)
    assert private.has_answers(opened) == (name != "answers.csv")


@pytest.mark.parametrize("text", ["", "files = 3\n", "[files]\n'answers.csv' = 4\n"])
def test_a_list_of_checksums_that_is_none_is_said(tmp_path, text):
    opened = build(tmp_path / "toy")
    (opened.folder / "private" / "checksums.toml").write_text(text)
    with pytest.raises(InputError, match=r"checksums\.toml lists no checksums; build the challenge again"):
        read_answers(opened)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("answers.csv", "id,expression,usage\nr0,1,Public\n", "usage 'Public'; wanted one of"),
        ("answers.csv", "id,expression,usage\nr0,1,public\nr0,2,public\n", "id 'r0' comes twice"),
        ("subsets.csv", "subset,id,reference\nhihg,r0,\n", "did you mean 'high'"),
        ("subsets.csv", "subset,id,reference\nhigh,r999,\n", "names id 'r999'"),
        ("subsets.csv", "subset,id,reference\nhigh,r0,r1\n", "wanted a reference for pairs, none for rows"),
        ("subsets.csv", "subset,id,reference\nsnv,r0,\n", "wanted a reference for pairs, none for rows"),
        ("subsets.csv", "subset,id,reference,usage\nhigh,r0,,pubic\n", "usage 'pubic'"),
    ],
)
def test_private_tables_that_contradict_the_declaration_are_refused(tmp_path, name, text, complaint):
    folder = build(tmp_path / "toy").folder
    tamper(folder, name, text)
    with pytest.raises(InputError, match=complaint):
        read_answers(folder)


# The command line, and the forms that predictions come in


def csv_of(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False)


def sequence_table(frame: pd.DataFrame) -> str:
    """Headerless `sequence<TAB>value` lines, as DREAM 2022 took them."""
    letters = np.random.default_rng(1).integers(0, 4, (NUM_ROWS, 12))
    sequences = dict(
        zip(toy_answers()["id"], ["".join("acgt"[i] for i in row) for row in letters], strict=True)
    )
    return "".join(
        f"{sequences[i]}\t{value!r}\n"
        for i, value in zip(frame.id, map(float, frame.expression), strict=True)
    )


FORMS = {
    "submission.csv": csv_of,
    "crlf.csv": lambda frame: "\ufeff" + csv_of(frame).replace("\n", "\r\n"),
    "any_heading.csv": lambda frame: csv_of(frame.rename(columns={"expression": "prediction"})),
    "table.tsv": lambda frame: frame.to_csv(index=False, sep="\t"),
    "no_header.txt": lambda frame: frame.to_csv(index=False, header=False, sep="\t"),
    "by_sequence.tsv": sequence_table,
    "dream.json": lambda frame: json.dumps(dict(zip(frame.id, frame.expression, strict=True))),
}


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_predictions_scores_the_same(tmp_path, toy, name, zipped):
    path = tmp_path / (name + zipped)
    data = FORMS[name](predict()).encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert score(toy, read_predictions(path, toy)) == score(toy, predict())


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1, 2]", 'not of the form {"id": value'),
        ("a.json", '{"r0": [1, 2]}', "wanted 1 values an id"),
        ("a.csv", "r0,1,2\n", "has 3 columns"),
        ("a.tsv", "ACGTACGTACGT\t1.0\n", "neither an id nor a sequence of the test set"),
    ],
)
def test_a_file_that_is_no_predictions_is_refused(tmp_path, toy, name, text, complaint):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=complaint.replace("{", r"\{")):
        read_predictions(tmp_path / name, toy)


def test_an_id_that_comes_twice_in_json_is_seen(tmp_path, toy):
    (tmp_path / "a.json").write_text('{"r0": 1.0, "r0": 2.0}')
    with pytest.raises(InputError, match=r"1 duplicate id \(r0\)"):
        score(toy, read_predictions(tmp_path / "a.json", toy))


def test_the_command_line_shows_every_score_and_every_digit_on_request(tmp_path, toy, capsys):
    predict().to_csv(tmp_path / "a.csv", index=False)
    assert main([str(tmp_path / "a.csv"), "--challenge", str(toy.folder)]) == 0
    shown = capsys.readouterr().out
    scores = score(toy, predict())
    assert f"{scores['private']['overall']:.6f}" in shown and "lower" in shown
    assert (
        main([str(tmp_path / "a.csv"), "--challenge", "toy", "--data", str(toy.folder.parent), "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["scores"] == scores
    low, high = found["intervals"]["private"]["overall"]
    assert low < scores["private"]["overall"] < high and f"({low:.4f} to {high:.4f})" in shown


def test_the_command_line_says_where_intervals_are_too_narrow(tmp_path, capsys):
    subsets = pd.DataFrame({"subset": "snv", "id": [f"r{i}" for i in range(20, 90)], "reference": "r0"})
    subsets = pd.concat([subsets, toy_subsets().query("subset == 'high'")])
    folder = build(tmp_path / "toy", subsets=subsets).folder
    predict().to_csv(tmp_path / "a.csv", index=False)
    assert main([str(tmp_path / "a.csv"), "--challenge", str(folder)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "- public snv: 1 sets of pairs that share rows are too few to draw from" in said
    assert main([str(tmp_path / "a.csv"), "--challenge", str(folder), "--json"]) == 0
    usages = [note.split()[0] for note in json.loads(capsys.readouterr().out)["notes"]]
    assert usages == ["public", "all"]


def test_the_command_line_refuses_with_a_line_and_status_2(tmp_path, toy):
    predict().assign(expression=1).to_csv(tmp_path / "a.csv", index=False)
    command = [
        sys.executable,
        "-m",
        "competition.score",
        str(tmp_path / "a.csv"),
        "--challenge",
        str(toy.folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "a constant says nothing about any row" in done.stderr


# Real data, where there is some


def real_data(name: str) -> Path:
    folder = os.environ.get("COMPETITION_REAL_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"COMPETITION_REAL_DATA names no folder with {name}")
    return Path(folder) / name


def build_dream(folder: Path, raw: Path) -> Challenge:
    """Declare DREAM 2022's two scores over its own subset files; the known answers are the public ones."""
    weights = pd.read_csv(raw.parent / "score_weights.tsv", sep="\t")
    sequences = pd.read_csv(raw / "test_sequences.txt.gz", sep="\t", header=None)[0]
    ids = pd.Series(np.arange(len(sequences)).astype(str))
    ground = json.loads((raw / "public_leaderboard_ids" / "ground.json").read_text())
    files = {path.name.removesuffix("_seqs.csv.gz"): path for path in (raw / "test_subset_ids").glob("*.gz")}
    tables = {
        name.removeprefix("all_").removesuffix("_exp"): pd.read_csv(p, dtype=str) for name, p in files.items()
    }
    members = [
        pd.DataFrame(
            {"subset": name, "id": table[row], "reference": table["ref_pos"] if row == "alt_pos" else ""}
        )
        for name, table in tables.items()
        for row in ["alt_pos" if "alt_pos" in table else "pos"]
    ]
    total = dict(zip(weights.subset, weights.weight, strict=True))
    scores = [Score.of(metric, f"{metric}_score", weights=total) for metric in ("pearson_r2", "spearman")]
    scores += [Score.of("pearson_r2", f"{name} r2", subset=name) for name in total]
    kinds = {name: "pairs" if "ref_pos" in table else "rows" for name, table in tables.items()}
    usage = np.where(ids.isin(ground), "public", "private")
    with create_challenge(
        folder, Declaration("dream", (Target("expression"),), tuple(scores), subsets=kinds)
    ) as writer:
        writer.train.append(*encode(["ACGT", "TTTT"]), target=np.arange(2))
        writer.test.append(*encode(sequences), rows={"id": ids})
        writer.write_answers(pd.DataFrame({"id": ids, "expression": ids.map(ground), "usage": usage}))
        writer.write_subsets(pd.concat(members))
    return open_challenge(folder)


def test_dream_2022_sample_submission_scores_what_its_organisers_say(tmp_path):
    raw = real_data("dream2022") / "raw"
    dream = build_dream(tmp_path / "dream", raw)
    path = raw / "public_leaderboard_ids" / "sample_submission.json"
    # The golden numbers are those of the file rounded to five decimals; as it stands it differs at 1e-8.
    predictions = read_predictions(path, dream)
    report = score_report(read_answers(dream), predictions.round(5))
    assert f"{report.scores['public']['pearson_r2_score']:.10f}" == "0.0062678896"
    assert f"{report.scores['public']['spearman_score']:.10f}" == "0.0000740570"
    assert score(dream, predictions)["public"]["pearson_r2_score"] == pytest.approx(0.0062678868, abs=1e-10)
    assert report.scores["private"] == {} and len(report.absent["private"]) == 11
    # Public pairs are those whose rows are both public: the official lists, to the pair.
    for name in ("SNVs", "motif_perturbation", "motif_tiling"):
        listed = json.loads((path.parent / f"{name}_exp_indices.json").read_text())
        subset = read_answers(dream).subsets[name]
        ids = read_answers(dream).ids.to_numpy()
        pairs = zip(ids[subset.rows[subset.public]], ids[subset.references[subset.public]], strict=True)
        assert {f"{row},{reference}" for row, reference in pairs} == set(listed)


def test_dream_2022_weights_give_the_published_totals():
    folder = real_data("dream2022")
    weights = pd.read_csv(folder / "score_weights.tsv", sep="\t").set_index("subset").weight
    for _, row in pd.read_csv(folder / "published_final_scores.tsv", sep="\t").iterrows():
        assert (weights * row[weights.index].astype(float)).sum() / weights.sum() == pytest.approx(row.score)


def test_yeast_gpra_predictions_score_what_was_published(tmp_path):
    folder = real_data("yeast_gpra")
    table = pd.read_csv(
        folder / "yeast_gpra_complex.tsv.gz", sep="\t", usecols=["id", "expression", "subset"]
    )
    predictions = pd.read_csv(folder / "predictions_complex.tsv.gz", sep="\t")
    published = pd.read_csv(folder / "published_model_scores.tsv", sep="\t").query("medium == 'complex'")
    metrics = {"pearson": "pearson", "spearman": "spearman", "pearson_r2": "r2", "r2": "R2", "mse": "mse"}
    names = sorted(table.subset.unique())
    scores = [Score.of(m, f"{s} {m}", subset=s) for s in names for m in metrics]
    challenge = Declaration(
        "gpra", (Target("expression"),), tuple(scores), subsets=dict.fromkeys(names, "rows")
    )
    subsets = table[["subset", "id"]].assign(reference="")
    answers = table[["id", "expression"]].assign(usage="private")
    read = read_answers(build(tmp_path / "gpra", challenge=challenge, answers=answers, subsets=subsets))
    for model, rows in published.groupby("model"):
        predicted = predictions[["id", model]].dropna().rename(columns={model: "expression"})
        covered = np.where(read.ids.isin(predicted.id), read.truth[:, 0], np.nan)
        found = score_report(replace(read, truth=covered[:, None]), predicted).scores["private"]
        for row in rows.itertuples():
            assert np.isfinite(covered[read.subsets[row.subset].rows]).sum() == row.n
            for metric, column in metrics.items():
                value = found[f"{row.subset} {metric}"]
                # Half of the last printed digit, and what four decimals in the predictions leave open.
                assert value == pytest.approx(getattr(row, column), abs=5.1e-6, rel=1e-6), (row, metric)
