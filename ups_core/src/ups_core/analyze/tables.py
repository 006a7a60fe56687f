"""The tables of the report: rows of finished text, the same for HTML and Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ups_core.analyze.numbers import number, whole

#: Peer to the words of its column, its metrics' prefix where transient and where steady.
PEERS = (
    ("surrogate", "", ""),
    ("tuned FNO", "fno.", "fno."),
    ("solver", "solver.", "solver."),
    ("persistence", "persistence.", ""),
    ("training mean", "", "mean."),
)

#: What a row says, and the metric behind it, without a peer's prefix.
TRANSIENT = (
    ("nRMSE, whole rollout", "rollout.nrmse"),
    ("nRMSE, last frame", "rollout.last_frame.nrmse"),
    ("nRMSE, one step", "one_step.nrmse"),
    ("nRMSE, frames later than any in training", "rollout.past_training.nrmse"),
    ("Largest absolute error", "rollout.max_error"),
    ("Frames until the error is too large, median", "rollout.horizon.median"),
    ("Frames until the error is too large, worst 10 %", "rollout.horizon.p10"),
    ("Frames that stay bounded, past the data, median", "rollout.beyond.median"),
    ("Frames that stay bounded, past the data, worst 10 %", "rollout.beyond.p10"),
    ("Energy of the error in low wavenumbers", "rollout.spectrum.low"),
    ("Energy of the error in middle wavenumbers", "rollout.spectrum.middle"),
    ("Energy of the error in high wavenumbers", "rollout.spectrum.high"),
    ("CRPS of the ensemble, whole rollout", "rollout.crps"),
    ("Truth inside the central 80 %", "rollout.coverage"),
    ("Samples that diverged", "rollout.diverged"),
    ("Entries without a relative error (zero truth)", "rollout.undefined"),
)
STEADY = (
    ("Relative L2 error", "rel_l2"),
    ("Largest absolute error", "max_error"),
    ("Energy of the error in low wavenumbers", "spectrum.low"),
    ("Energy of the error in middle wavenumbers", "spectrum.middle"),
    ("Energy of the error in high wavenumbers", "spectrum.high"),
    ("CRPS of the ensemble", "crps"),
    ("Truth inside the central 80 %", "coverage"),
    ("Samples that diverged", "diverged"),
    ("Samples without a relative error (zero truth)", "undefined"),
)

Table = dict[str, Any]


def metric_tables(
    metrics: Mapping[str, float], evaluation: Mapping[str, Any], validated: Mapping[str, Any], kind: str
) -> list[Table]:
    """One table a test set: metrics down, surrogate and peers across. Rows nobody has are left out.

    ``kind`` is that of the data.
    """
    steady = evaluation["steady"]
    tables = []
    for name, facts in evaluation["sets"].items():
        prefix = "" if name == evaluation["split"] else f"{name}."
        wanted = list(STEADY if steady else TRANSIENT)
        if not steady:
            wanted += [(f"nRMSE of {field}", f"rollout.{field}.nrmse") for field in _fields(metrics, prefix)]
            for k in _leads(metrics, prefix):
                every = f"nRMSE of the frames that steps of {k} reach"
                wanted.append((f"{every}, in such steps", f"every{k}.rollout.nrmse"))
                wanted.append((f"{every}, frame by frame", f"every{k}.single.rollout.nrmse"))
        columns: dict[str, list[float | None]] = {}
        for words, transient, still in PEERS:
            peer = still if steady else transient
            if peer or words == "surrogate":
                columns[words] = [metrics.get(f"{prefix}{peer}{metric}") for _, metric in wanted]
        columns = {w: v for w, v in columns.items() if w == "surrogate" or any(x is not None for x in v)}
        rows = [
            [label, *(number(values[i]) for values in columns.values())]
            for i, (label, _) in enumerate(wanted)
            if any(values[i] is not None for values in columns.values()) or i == 0
        ]
        grid = " × ".join(map(str, facts["shape"][1 if steady else 2 :]))
        many = f"{whole(facts['samples'])} samples, {grid} {'particles' if kind == 'particles' else 'points'}"
        steps = f", {facts['steps']} frames after {facts['given']}" if "steps" in facts else ""
        noted = dict(facts["notes"])
        if extreme := validated["splits"][name].get("extreme"):
            noted["inputs" if steady else "initial states"] = how_far(extreme)
        notes = "; ".join(f"{who}: {what}" for who, what in noted.items())
        tables.append(
            {"title": f"{name}: {many}{steps}", "columns": ["", *columns], "rows": rows, "note": notes}
        )
    return tables


def how_far(extreme: Mapping[str, Any]) -> str:
    """How far outside of training the states of a test set lie, by the statistic that it was chosen by."""
    words = {"rms": "values", "gradient": "gradient"}[extreme["largest"]]
    said = f"those with the largest root mean square of their {words}"
    (least, median, most), (_, typical, highest) = extreme["here"], extreme["train"]
    if not typical or not highest:
        return f"{said}, which is 0 in most of training"
    span = f"{number(least / highest)} to {number(most / highest)} times the largest in training"
    return f"{said}, {span}; their median is {number(median / typical)} times that of training"


def _fields(metrics: Mapping[str, float], prefix: str) -> list[str]:
    start, end = f"{prefix}rollout.", ".nrmse"
    names = [
        m.removeprefix(start).removesuffix(end) for m in metrics if m.startswith(start) and m.endswith(end)
    ]
    parts = ("last_frame", "past_training")
    return [n for n in names if n not in parts and "." not in n and f"{start}{n}{end}" in metrics]


def _leads(metrics: Mapping[str, float], prefix: str) -> list[int]:
    """Frames in a step, of the steps that were judged, in ascending order."""
    found = (re.fullmatch(rf"{re.escape(prefix)}every(\d+)\.rollout\.nrmse", name) for name in metrics)
    return sorted(int(match[1]) for match in found if match)


def drift_rows(metrics: Mapping[str, float]) -> list[list[str]]:
    """Who moves the conserved means how far; nothing where the family conserves none."""
    who = (
        ("data", "truth.rollout"),
        ("surrogate", "rollout"),
        ("tuned FNO", "fno.rollout"),
        ("solver", "solver.rollout"),
    )
    return [
        [words, number(metrics[f"{prefix}.conservation_drift"], 2)]
        for words, prefix in who
        if f"{prefix}.conservation_drift" in metrics
    ]


def split_table(validated: Mapping[str, Any], dataset: Mapping[str, Any]) -> Table:
    """Samples, initial states, dropped states and grid of every split."""
    space = dataset["space"] if dataset["kind"] == "grid" else "M"
    axes = " × ".join(("C" if dataset["steady"] else "TC") + space)
    rows = [
        [
            name,
            whole(facts["samples"]),
            whole(validated["splits"][name]["states"]),
            whole(validated["splits"][name]["dropped"]),
            " × ".join(map(str, facts["shape"])),
        ]
        for name, facts in sorted(dataset["splits"].items(), key=lambda item: _place(item[0]))
    ]
    return {"columns": ["Split", "Samples", "Initial states", "Dropped", axes], "rows": rows}


def _place(split: str) -> tuple[int, str]:
    first = ("train", "val", "test")
    return (first.index(split) if split in first else len(first), split)


def data_facts(
    described: Mapping[str, Any], dataset: Mapping[str, Any], validated: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """What the data are, and what validation found, in words."""
    files = list(validated["files"].values())
    facts = [("Family", described["title"])]
    for kind in ("inputs", "fields"):
        if dataset[kind]:
            named = [
                (f["label"] or f["name"]) + ("" if f["unit"] == "1" else f" in {f['unit']}")
                for f in dataset[kind]
            ]
            facts.append(
                (
                    {"inputs": "Input", "fields": "Solution" if dataset["steady"] else "State"}[kind],
                    ", ".join(named),
                )
            )
    for name in dataset["parameters"]:
        ranges = [file["parameters"][name] for file in files if name in file.get("parameters", {})]
        if ranges:
            low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
            facts.append((f"Parameter {name}", f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"))
    if dataset["kind"] == "particles":
        facts.append(("Particles", _moving(dataset)))
    facts.append(("Boundary", ", ".join(f"{axis}: {kind}" for axis, kind in dataset["boundary"].items())))
    if dataset.get("dt"):
        facts.append(("Time between frames", f"{dataset['dt']:.4g}"))
    values = [file["arrays"]["u"] for file in files if "min" in file["arrays"].get("u", {})]
    if values:
        found = f"{number(min(v['min'] for v in values))} to {number(max(v['max'] for v in values))}"
        facts.append(("Values", f"{found}; all finite in {len(files)} file{'s' if len(files) > 1 else ''}"))
    drifts = [v["conservation"] for v in values if "conservation" in v]
    if drifts:
        worst = max(d["drift"] for d in drifts)
        facts.append(
            (
                "Conservation",
                f"means drift by at most {number(worst, 2)} standard deviations, "
                f"{number(drifts[0]['tolerance'], 1)} is allowed",
            )
        )
    return facts


def _moving(dataset: Mapping[str, Any]) -> str:
    """What is known of each particle, and where they are."""
    box = ", ".join(
        f"{low:g} to {high:g} along {axis.lower()}" for axis, (low, high) in dataset["box"].items()
    )
    velocities = f", velocities {', '.join(dataset['velocities'])}" if dataset["velocities"] else ""
    return f"positions {', '.join(dataset['positions'])}{velocities}, in a box from {box}"


def training_facts(
    model: Mapping[str, Any], recipe: Mapping[str, Any], codec: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """What was trained and how, in words; ``recipe`` is the one of the model's object."""
    config = dict(model["training"])
    architecture = dict(model["config"])
    name = architecture.pop("name", model["stage"])
    limits = {"steps": "optimizer steps", "epochs": "epochs", "cpuBudgetSeconds": "CPU-seconds"}
    limit = [f"{number(config.pop(key))} {words}" for key, words in limits.items() if key in config]
    kept = model["validation"]
    facts = [
        ("Architecture", f"{name} ({_settings(architecture)})" if architecture else str(name)),
        ("Weights", f"{whole(model['parameters'])} parameters"),
        ("Limit", ", ".join(limit) or "–"),
        ("Stage", f"{model['stage']}: {_settings(config)}" if config else model["stage"]),
        (
            "Kept",
            f"step {whole(kept['step'])} of {whole(model['steps'])}, "
            f"{kept['metric']} {number(kept['value'])}",
        ),
    ]
    if (observer := _observer(model)) is not None:
        facts.insert(1, ("Observer", observer))
    if codec is not None:
        patch, weights = codec["config"]["downsample"], whole(codec["parameters"])
        facts.insert(
            2, ("Codec", f"averages over {patch} points along each axis, decoded by {weights} weights")
        )
    return [*facts, ("Seed", str(recipe["seed"]))] if "seed" in recipe else facts


def _observer(model: Mapping[str, Any]) -> str | None:
    """By whom states are seen, and how that is known; None where nobody asked."""
    moves = model["problem"]["boost"] is not None and model["config"].get("galilean", True)
    how = "moves with the mean of each state" if moves else "at rest"
    if "seen" not in model:
        return f"{how}, as declared" if moves else None
    if (trial := model["seen"]["galilean"]) is None:
        return f"{how}: frames are too close to each other to tell whether the field carries itself"
    told = (
        f"{how}: of a speed that was added to states, a network trained on the data carries them along at "
        f"{number(trial['speed'], 2)}, which leaves {number(trial['rest'], 2)} of its answers unexplained"
    )
    if trial["moving"] is None:
        return told
    errors = f"{number(trial['moving'], 2)} instead of {number(trial['error'], 2)}"
    return f"{told}; seen moving, the error of a frame is {errors}"


def stage_table(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    """What became of each stage, and the figures that decided it; nothing of a stage alone."""
    rows = [
        [
            verdict["stage"],
            f"{verdict['decision']}: {verdict['why']}" if verdict["why"] else verdict["decision"],
            verdict["metric"],
            number(verdict["before"]),
            number(verdict["after"]),
            " to ".join(number(end, 2) for end in verdict["interval"]) if verdict["interval"] else "–",
            _evaluations(verdict["figures"]),
        ]
        for verdict in verdicts
    ]
    columns = ["Stage", "Decision", "Metric (validation)", "Before", "After", "Gain, 95 % interval"]
    columns.append("Evaluations of networks")
    if all(row[-1] == "–" for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return {"columns": columns, "rows": rows if len(rows) > 1 else []}


def _evaluations(figures: Mapping[str, float | None]) -> str:
    """What a prediction costs, before and after a stage that changes it."""
    before, after = (figures.get(f"evaluations.{when}") for when in ("before", "after"))
    if before is None or after is None:
        return "–"
    if (gain := figures.get("gain_per_cost")) is None:
        return f"{number(before)} to {number(after)} a sample"
    frame = f"{number(before)} to {number(after)} a frame"
    return f"{frame}; relative gain for each time the cost: {number(gain, 2)}"


def _settings(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in config.items())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
