"""`python -m tests.simulation --steps N --jobs J`: plays histories until they have so many steps together."""

from __future__ import annotations

from tests.simulation import entropy, planted

if __name__ == "__main__":
    # Before all else: what is loaded may ask for entropy, and a fault is planted where it is loaded.
    ENTROPY = entropy.install()
    planted.plant()
    from tests.simulation.command_line import main

    main(obj=ENTROPY)
