"""Trains the networks of the built-in styles, which lie in tfnst/styles.

    python examples/train_styles.py [--photos FOLDER] [--out tfnst/styles] [NAMES...]

The first style is learned from random weights, in some thirty minutes on two cores. The
others begin with its network, which takes half as long, and lets them be blended. An
interrupted training continues from its checkpoint, NAME.1.ckpt or NAME.2.ckpt in the
folder `--out`.

The styles are those of examples/images, which this project painted itself. The photos
come from scikit-image 0.26 and scikit-learn 1.9, which state their sources and terms:

    astronaut.png, hubble_deep_field.jpg    NASA, public domain
    rocket.jpg                              SpaceX, released into the public domain
    camera.png                              Lav Varshney, CC0
    chelsea.png                             Stéfan van der Walt, CC0
    clock_motion.png                        Stéfan van der Walt, public domain
    coffee.png                              Rachel Michetti, CC0
    retina.jpg                              Mikael Häggström, CC0
    brick.png, gravel.png                   CC0Textures.com, CC0
    grass.png                               linolafett, CC0
    china.jpg                               Daniel Büchele, CC BY 2.0 [1]

Other photos in these packages have no stated licence, or none whose terms can be met.

[1] https://www.flickr.com/photos/danielbuechele/6061409035,
    https://creativecommons.org/licenses/by/2.0/
"""

import argparse
import importlib.util
import pathlib

import tfnst

ROOT = pathlib.Path(__file__).parent.parent
STYLES = [
    *("swirls", "impasto", "ink_hatching", "mosaic", "pencil"),
    *("stained_glass", "watercolor", "woodcut"),
]
PHOTOS = {
    "skimage/data": [
        *("astronaut.png", "brick.png", "camera.png", "chelsea.png"),
        *("clock_motion.png", "coffee.png", "grass.png", "gravel.png"),
        *("hubble_deep_field.jpg", "retina.jpg", "rocket.jpg"),
    ],
    "sklearn/datasets/images": ["china.jpg"],
}
# The parts of a training. On small crops, a step takes a quarter of the time.
FIRST = [
    {"crop_size": 128, "steps": 1500, "learning_rate": 2e-3},
    {"crop_size": 256, "steps": 2000, "learning_rate": 2e-3},
]
OTHERS = [{"crop_size": 256, "steps": 1500, "learning_rate": 2e-3}]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAMES", help=", ".join(STYLES))
    parser.add_argument("--photos", type=pathlib.Path, help="other photos")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tfnst" / "styles")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(STYLES))
    if unknown:
        parser.error(f"no such styles: {', '.join(unknown)}")
    photos = [arguments.photos] if arguments.photos else packaged_photos(parser)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or STYLES:
        network = train(name, photos, arguments.out)
        network.save(arguments.out / f"{name}.keras")
        for checkpoint in arguments.out.glob(f"{name}.*.ckpt"):
            checkpoint.unlink()
        print(name, network.training, flush=True)


def packaged_photos(parser):
    """The paths of the photos in the installed packages."""
    paths = []
    for folder, names in PHOTOS.items():
        package, *rest = folder.split("/")
        spec = importlib.util.find_spec(package)
        if spec is None:
            parser.error(
                "the photos come from scikit-image and scikit-learn: "
                "pip install scikit-image scikit-learn"
            )
        installed = pathlib.Path(spec.origin).parent.joinpath(*rest)
        paths += [installed / name for name in names]
    return paths


def train(name, photos, out):
    """A network that has learned a style of examples/images."""
    style = ROOT / "examples" / "images" / f"style_{name}.jpg"
    first = name == STYLES[0]
    network = "random" if first else out / f"{STYLES[0]}.keras"
    for number, options in enumerate(FIRST if first else OTHERS, start=1):
        checkpoint = out / f"{name}.{number}.ckpt"
        # A checkpoint brings the weights.
        resumed = checkpoint.exists()
        network = tfnst.train_network(
            style,
            photos,
            start=None if resumed else network,
            checkpoint=checkpoint,
            resume=checkpoint if resumed else None,
            **options,
        )
    return network


if __name__ == "__main__":
    main()
