"""Two processes train one network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from gaussian_lens_app.training.ranks import Ranks
from gaussian_lens_app.training.run import Run, RunSettings, Trainee

SCRIPT = """
import sys, torch
sys.path.insert(0, {tests!r})
from test_ranks import run_line
run_line({out!r})
"""


class Line(Trainee):
    """A line through points; each update looks at one of them."""

    def __init__(self, out: Path | None = None):
        torch.manual_seed(0 if out is None else os.getpid())  # processes start differently
        self.network, self.out = nn.Linear(1, 1), out
        self.seen: list[int] = []

    def losses(self, network, number, progress):
        self.seen.append(number)
        x = torch.tensor([[(number % 8) / 8.0]])
        loss = (network(x) - (3 * x + 1)).square().mean()
        loss.backward()
        return {"loss": float(loss)}

    def validate(self, network):
        x = torch.linspace(0, 1, 9)[:, None]
        return {"score": -float((network(x) - (3 * x + 1)).square().mean())}


def run_line(out: str) -> None:
    """What each of the processes does."""
    trainee = Line(Path(out))
    run = Run(trainee, RunSettings(Path(out), rate=0.1, warm_up=1, weight_decay=0.0), tell=lambda line: None)
    start = run.network.weight.detach().clone()
    run.run(updates=60)
    facts = {
        "rank": run.ranks.rank, "seen": trainee.seen, "start": float(start), "weight": float(run.network.weight),
        "bias": float(run.network.bias),
    }  # fmt: skip
    (Path(out) / f"rank-{run.ranks.rank}.json").write_text(json.dumps(facts))


def test_one_process_alone_needs_nobody():
    ranks = Ranks.joined()
    assert (ranks.rank, ranks.count, ranks.first) == (0, 1, True)
    assert ranks.agree(2.5) == 2.5


def test_two_processes_end_with_the_same_weights_from_different_samples(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), out=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert one["start"] == two["start"]
    assert (one["weight"], one["bias"]) == (two["weight"], two["bias"])
    assert set(one["seen"]).isdisjoint(two["seen"])
    assert sorted(one["seen"] + two["seen"]) == list(range(120))
    assert abs(one["weight"] - 3) < 1
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["updates"] for entry in entries if entry["kind"] == "train"] == [20, 40, 60]
    assert (tmp_path / "checkpoint.pt").exists()
