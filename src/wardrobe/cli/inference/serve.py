"""`wardrobe serve`."""

from typing import Annotated

from typer import Option

from wardrobe.cli import options
from wardrobe.cli.app import INFERENCE, app


@app.command(rich_help_panel=INFERENCE)
def serve(
    model: options.Model = None,
    compare_with: Annotated[
        str | None,
        Option(
            help="Second model to compare on the page, given like --model, or 'none'",
            show_default="baseline with the shipped model, otherwise none",
        ),
    ] = None,
    host: Annotated[
        str, Option(help="Address to listen on; 0.0.0.0 for all interfaces")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port; 0 picks a free one")] = 8000,
    token: Annotated[
        str | None,
        Option(
            envvar="WARDROBE_TOKEN", help="Require this token, as 'Authorization: Bearer TOKEN'"
        ),
    ] = None,
    no_auth: Annotated[
        bool, Option("--no-auth", help="Let other machines connect without a token")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        Option(help="Name by which clients reach the server, or '*.example.com'; repeatable"),
    ] = None,
    cors: Annotated[
        list[str] | None, Option(help="Origin whose pages may call the API; repeatable")
    ] = None,
    root_path: Annotated[
        str, Option(help="Path prefix under which a proxy offers the server, such as /wardrobe")
    ] = "",
    forwarded_allow_ips: Annotated[
        str,
        Option(
            envvar="FORWARDED_ALLOW_IPS",
            help="Proxies whose X-Forwarded-For is believed: addresses, networks, or '*'",
        ),
    ] = "127.0.0.1,::1",
    body_timeout: Annotated[
        float, Option(min=0.1, help="Seconds to wait for a request's body")
    ] = 20,
    access_log: Annotated[
        bool, Option("--access-log", help="Write a JSON line on stderr for each request")
    ] = False,
    workers: Annotated[
        int, Option(min=1, help="Number of processes; one per core for heavy load")
    ] = 1,
    allow_training: Annotated[
        bool | None,
        Option(
            "--allow-training/--no-allow-training",
            help="Let pages start trainings on this machine",
            show_default="if only pages of this machine can send requests",
        ),
    ] = None,
) -> None:
    """Serve the studio, a page that shows how the network decides, and the API."""
    from wardrobe.serving import server

    server.run(
        model,
        compare_with,
        host=host,
        port=port,
        token=token,
        no_auth=no_auth,
        allow_host=allow_host or (),
        cors=cors or (),
        root_path=root_path,
        forwarded_allow_ips=forwarded_allow_ips,
        access_log=access_log,
        body_timeout=body_timeout,
        workers=workers,
        allow_training=allow_training,
    )
