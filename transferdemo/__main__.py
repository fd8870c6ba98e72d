"""python -m transferdemo: the jobs of the page from the command line, printing the same events."""

from __future__ import annotations


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status: 0, or 2 with one sentence on standard error."""
    import argparse
    import importlib
    import pkgutil
    import sys

    from . import commands
    from .errors import DemoError

    parser = argparse.ArgumentParser(
        prog="python -m transferdemo",
        description="See transfer learning from the inside.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30),
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in pkgutil.iter_modules(commands.__path__):
        if module.name.startswith("_"):
            continue  # part of a command, not one
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        sub = subparsers.add_parser(module.name, help=command.HELP, description=command.__doc__)
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        sys.stderr.close()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main())
