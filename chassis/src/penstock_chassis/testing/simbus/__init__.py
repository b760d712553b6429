"""The simulated bus: the ports of the chassis in memory, with faults and crash points.

The state is one `SimWorld`; `world.ports(...)` gives the ports of one life of one service. It
obeys the contract suite of `penstock_chassis.testing.contracts`, as the real server does.
"""

from penstock_chassis.testing.simbus.faults import NO_FAULTS, CrashPlan, Faults, SimCrash
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_chassis.testing.simbus.world import SimPorts, SimWorld

__all__ = ["NO_FAULTS", "CrashPlan", "Faults", "Incarnation", "SimCrash", "SimPorts", "SimWorld"]
