"""What the questions in ``benchmarks/`` share: systems side by side, a load that is no bottleneck, what was found.

A question is a file ``benchmarks/NAME.py``. It asks in rounds: every system is up, all but the one under test are
stopped (SIGSTOP), their order is shuffled anew in each round, and what is compared is compared within a round.

    from lab.figures import Figures
    from lab.stand import Stand

    with Stand(["nginx", "guard_rules"]) as stand:                    # builds, starts and waits; at its end, ends all
        bodies = stand.bodies(users=512, prompt=1024, tokens=100)     # a file of requests
        figures = Figures()
        for system in stand.turns(rounds=6):                          # each system once a round, alone on its core
            stand.load(system, "closed", bodies, seconds=0.3)         # warm
            load = stand.load(system, "closed", bodies, seconds=1.5)  # raises Failed where a request failed
            figures.add(system.name, "cpu_us", load.cpu_us_per_request)
    figures.ratio("guard_rules", "nginx", "cpu_us")                   # {"median", "low", "high", "values"}

=============  =========================================================================================================
``machine``    what the figures were taken on: processor, memory, kernel, versions, how busy it was
``build``      compiles ``stub.c`` and ``load.c``
``texts``      prompts, answers and the 500 patterns: made-up, harmless, the same in every run
``tree``       CPU nanoseconds and resident bytes of a process with all its children, by the kernel's own accounting
``system``     what starts, is asked, freezes, thaws and stops
``others``     nginx, HAProxy, vllm-router, Portkey, LiteLLM, and none
``systems``    Guard in its configurations, and every system by name: ``system(name)``, ``NAMES``, ``LABELS``
``stand``      the stub, the systems and the load generator together; rounds
``figures``    values by system and measure; medians, spreads, ratios within a round
``results``    ``benchmarks/results/NAME.json``: written and read
``goals``      the goals as data, and the table of them
``sweep``      a question asked at several sizes
``plot``       plots as SVG
``calls``      Guard around an ASGI app that is called without a server
``inside``     the same under uvicorn, as a system
``question``   the command line of every question: ``--json``, ``--systems``, ``--rounds``, ``--quick``
=============  =========================================================================================================

The system under test has core 0, stub and load generator have core 1: a machine needs two.
"""
