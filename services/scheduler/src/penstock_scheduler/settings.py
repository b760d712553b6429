"""The settings of the scheduler."""

import os

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings
from penstock_schemas import Name, NodeRegistered, Resources

NODES_MAX = 900
"""Nodes that one inventory may declare: they are registered in one atomic append."""


class DeclaredNode(BaseModel):
    """A node of the inventory, as it is written in the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    node: Name
    cpu: float = Field(gt=0, le=100_000)
    gpu: int = Field(default=0, ge=0)
    memory_bytes: int = Field(default=0, ge=0)
    labels: dict[str, str] = {}

    def registered(self) -> NodeRegistered:
        """The fact that the log holds about it."""
        resources = Resources(cpu=self.cpu, memory_bytes=self.memory_bytes, gpu=self.gpu)
        return NodeRegistered(node=self.node, resources=resources, labels=self.labels)


def _this_machine() -> tuple[DeclaredNode, ...]:
    return (DeclaredNode(node="local", cpu=os.cpu_count() or 1),)


class SchedulerSettings(ServiceSettings):
    """Variables `PENSTOCK_SCHEDULER_*`."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_SCHEDULER_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    nodes: tuple[DeclaredNode, ...] = Field(default_factory=_this_machine, max_length=NODES_MAX)
    """The inventory, a JSON list of {node, cpu (cores), gpu (whole), memory_bytes (0: not
    declared), labels}; by default this machine's CPUs as the node `local`."""
    ledger: Name = "default"
    """The name of the ledger that plans are written to: one for each set of nodes."""

    @field_validator("nodes")
    @classmethod
    def _named_once(cls, nodes: tuple[DeclaredNode, ...]) -> tuple[DeclaredNode, ...]:
        names = [node.node for node in nodes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each node is declared once; declared twice: {', '.join(twice)}")
        return nodes

    def inventory(self) -> tuple[NodeRegistered, ...]:
        """The declared nodes as the log holds them."""
        return tuple(node.registered() for node in self.nodes)
