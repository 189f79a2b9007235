"""The command line: one verb per thing a person does.

Nothing heavy is imported before a verb needs it. Exit codes: 0 done, 1 the work failed or is incomplete, 2 the call or
the configuration is wrong.
"""

import json
import sys

import typer

from afterwatch import (
    audit,
    bundle,
    campaigns,
    evaluate,
    events,
    federate,
    fit,
    labels,
    lake_verbs,
    models,
    night,
    notifying,
    queue,
    refit,
    retention,
    search,
    serving,
    summaries,
    watching,
)
from infra.environment import switch_off_telemetry
from infra.errors import AfterwatchError, ConfigurationError

STOPPED = 130
STOPPED_WORDS = "stopped; what was finished is kept, and the next run goes on from there"

app = typer.Typer(
    name="afterwatch",
    help="Process recorded surveillance campaigns overnight; review them by day.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
VERBS = (
    campaigns,
    night,
    notifying,
    watching,
    retention,
    lake_verbs,
    labels,
    events,
    queue,
    summaries,
    federate,
    fit,
    models,
    refit,
    search,
    evaluate,
    serving,
    audit,
    bundle,
)
for module in VERBS:
    module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run a verb; errors made on purpose end in one line and an exit code, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    switch_off_telemetry()
    try:
        check_text(arguments)
        code = app(args=arguments, standalone_mode=False)
        if code == STOPPED:  # typer makes it of Ctrl-C
            _fail(STOPPED_WORDS, STOPPED, arguments)
        sys.exit(code if isinstance(code, int) else 0)
    except AfterwatchError as error:
        _fail(str(error), error.exit_code, arguments)
    except typer.Exit as leaving:
        if leaving.exit_code == STOPPED:
            _fail(STOPPED_WORDS, STOPPED, arguments)
        sys.exit(leaving.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail(STOPPED_WORDS, STOPPED, arguments)
    except BrokenPipeError:
        raise
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        _fail(f"{named}{error.strerror or error}; free space, grant access or name another place", 1, arguments)
    except (
        Exception
    ) as error:  # typer brings a click of its own, whose errors have no name here; what is unknown is raised again
        if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "format_message"):
            _fail(error.format_message(), 2, arguments)
        from tasks.receipts import reason_of

        if (why := reason_of(error)).startswith("out of memory"):
            _fail(why, 1, arguments)
        raise


def check_text(arguments: list[str]) -> None:
    """Refuse what is no text: no file that is written could hold it, and some would be cut short by it.

    Raises:
        ConfigurationError: an argument has bytes that are not UTF-8, or a zero byte.
    """
    for argument in arguments:
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in argument):
            raise ConfigurationError(
                f"the argument {ascii(argument)[:100]} is no text in UTF-8; rename what it names, and name it anew"
            )


def _fail(message: str, code: int, arguments: list[str]) -> None:
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"error": message}) + "\n")
    sys.stderr.write(f"afterwatch: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
