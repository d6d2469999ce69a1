"""Command line, built with Typer: one module a command.

`main` holds the application, its error handling and the lazy loading of commands; `options` the parameters that
several commands share; `numbers` the parsers of bounded numbers; `photos` the loop over photos; `device` the loading of
networks and the CPU fallback; `tables` and `progress` what a terminal shows.
"""
