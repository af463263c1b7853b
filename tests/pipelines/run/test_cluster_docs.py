"""The files for clusters of Ray in docs/cluster.md, as Ray itself reads and checks them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

util = pytest.importorskip("ray.autoscaler._private.util", reason="ray is not installed")
kuberay = pytest.importorskip("ray.autoscaler._private.kuberay.autoscaling_config")

DOCS = Path(__file__).parents[3] / "docs" / "cluster.md"


def shown(word: str) -> dict[str, Any]:
    """The block of YAML that has this word."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return dict(yaml.safe_load(block))


def test_the_launcher_takes_the_cluster() -> None:
    cluster = util.fillout_defaults(shown("available_node_types"))
    util.validate_config(cluster)
    types = cluster["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert (types["spot"]["min_workers"], types["spot"]["max_workers"]) == (0, 50)
    assert cluster["head_node_type"] in types


def test_the_autoscaler_takes_the_cluster_of_kuberay() -> None:
    cluster = shown("RayCluster")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    cluster["metadata"]["namespace"] = "default"  # which Kubernetes adds
    config = kuberay._derive_autoscaling_config_from_ray_cr(cluster)
    util.validate_config(config)
    types = config["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["spot"]["resources"] == {"CPU": 16, "memory": 64 * 2**30}
    assert (types["spot"]["min_workers"], types["spot"]["max_workers"]) == (0, 50)
