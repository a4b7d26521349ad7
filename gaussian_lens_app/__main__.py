"""`python -m gaussian_lens_app` is `gsr`, for programs that start modules, such as torchrun."""

from gaussian_lens_app.cli import gsr

if __name__ == "__main__":
    gsr()
