from setuptools import find_packages, setup

EXTRAS = {
    "plots": ["matplotlib"],
    "eval": ["hotcoco"],
    "log": ["tensorboard", "wandb"],
    "onnx": ["onnx", "onnxscript", "onnxruntime"],
    "yolo": ["pyyaml"],
    # what make test, make lint and python -m benchmarks need; some are what results are compared with
    "dev": [
        "pytest",
        "hypothesis",
        "ruff",
        "matplotlib",
        "hotcoco",
        "tensorboard",
        "wandb",
        "onnx",
        "onnxscript",
        "onnxruntime",
        "pycocotools",
        "torchmetrics",
        "tidecv",
        "faster-coco-eval",
        "pyyaml",
    ],
}

setup(
    name="ssd300",
    version="0.1.0",
    description="SSD300, the single-shot multibox detector, from scratch on PyTorch",
    python_requires=">=3.10",
    packages=find_packages(include=["ssd", "ssd.*"]),
    install_requires=["torch>=2.6", "torchvision>=0.21", "numpy", "pillow>=10.1", "tqdm"],
    extras_require=EXTRAS,
)
