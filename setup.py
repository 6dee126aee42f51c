import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "ssd" / "__init__.py").read_text(encoding="utf-8"), re.M)[1]

EXTRAS = {
    "app": ["gradio>=6.31", "av>=14.1"],
    "plots": ["matplotlib"],
    "eval": ["hotcoco"],
    "log": ["tensorboard", "wandb"],
    "onnx": ["onnx", "onnxscript", "onnxruntime"],
    "openvino": ["openvino"],
    "supervision": ["supervision"],
    "video": ["av>=14.1"],
    "weights": ["protobuf>=4.22", "safetensors"],
    "yolo": ["pyyaml"],
}
# What `make test`, `make lint` and `python -m benchmarks` need besides: tools, and libraries to compare results with.
TOOLS = ["pytest", "hypothesis", "ruff", "mypy", "selenium", "setuptools>=70.1"]
COMPARED = ["pycocotools", "torchmetrics", "tidecv", "faster-coco-eval"]
EXTRAS["dev"] = [*TOOLS, *COMPARED, *(library for libraries in EXTRAS.values() for library in libraries)]

setup(
    name="ssd300",
    version=VERSION,
    description="SSD300, the single-shot multibox detector, from scratch on PyTorch",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The ssd300 contributors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["object detection", "SSD", "SSD300", "PyTorch", "Pascal VOC"],
    project_urls={"Paper": "https://arxiv.org/abs/1512.02325"},
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["ssd", "ssd.*"]),
    package_data={
        "ssd": ["py.typed"],
        "ssd.evaluation.report": ["page.html"],
        "ssd.explain": ["page.html", "page.css", "page.js", "scripts/*.js"],
    },
    entry_points={"console_scripts": ["ssd300 = ssd.__main__:main"]},
    install_requires=["torch>=2.6", "torchvision>=0.21", "numpy", "pillow>=10.1", "tqdm"],
    extras_require=EXTRAS,
)
