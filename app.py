"""transferdemo: start the page. `python app.py --help` lists the flags; a Hugging Face Space runs this file as it is."""

from __future__ import annotations


def main() -> None:
    """Read the flags, build the page, serve it until Ctrl-C."""
    import argparse
    import os
    from contextlib import suppress

    parser = argparse.ArgumentParser(description="A page that shows transfer learning from the inside.")
    parser.add_argument("--host", help="address to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also make a public link, through Gradio's servers")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask visitors for this name and password")
    parser.add_argument("--device", help="cuda, mps, xpu or cpu (default: the fastest here)")
    parser.add_argument("--local", action="store_true", help="only you use it: no limits, folders may be named by path")
    parser.add_argument(
        "--classroom", action="store_true", help="a class uses it: password, QR code, jobs of 15 s at most"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    args = parser.parse_args()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "200")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")

    with suppress(ImportError):  # on a ZeroGPU Space: before anything touches CUDA
        import spaces  # noqa: F401

    from transferdemo.ui.serve import serve

    serve(args)


if __name__ == "__main__":
    main()
