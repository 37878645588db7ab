"""Fitting a BigGAN from scratch against a projection discriminator by the hinge loss (arXiv 1809.11096)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pytorch_pretrained_biggan import BigGAN
from torch import Tensor

from synthood.common.arithmetic import autocast
from synthood.common.averages import MovingAverage
from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.seeds import derived_seed, generator
from synthood.errors import SynthoodError
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.diff_augment import diff_augmented
from synthood.generators.biggan.residual_discriminator import ResidualDiscriminator
from synthood.generators.biggan.settings import HingeFit
from synthood.generators.biggan.vae import settle_spectral_norms
from synthood.generators.biggan.watching import Best, Watcher

BETAS = (0.0, 0.999)
FULL_ROW = biggan.TRUNCATION_ROWS - 1


@dataclass
class Parts:
    """The networks of one fit and their optimisers."""

    network: BigGAN
    discriminator: ResidualDiscriminator
    maker: torch.optim.Adam
    critic: torch.optim.Adam


def build_network(settings: HingeFit, classes: int, side: int, device: torch.device) -> BigGAN:
    """The generator, initialised from the seed on the CPU, then moved; channels last."""
    seed = derived_seed(settings.seed, "biggan")
    network = biggan.build(classes, settings.latent_size, settings.channel_width, seed, side)
    return network.to(device).to(memory_format=torch.channels_last)


def build_parts(settings: HingeFit, classes: int, side: int, device: torch.device) -> Parts:
    """Both networks and their optimisers."""
    network = build_network(settings, classes, side, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "discriminator"))
        discriminator = ResidualDiscriminator(side, classes, settings.discriminator_width)
    discriminator.to(device).to(memory_format=torch.channels_last)
    return Parts(
        network,
        discriminator,
        torch.optim.Adam(network.parameters(), settings.learning_rate, betas=BETAS),
        torch.optim.Adam(discriminator.parameters(), settings.discriminator_learning_rate, betas=BETAS),
    )


@dataclass
class Steps:
    """The two updates of a step, on images uint8 [N,3,H,W] and labels [N] on one device."""

    parts: Parts
    images: Tensor
    labels: Tensor
    settings: HingeFit
    dtype: torch.dtype

    def discriminate(self, random: torch.Generator) -> float:
        """One update of the discriminator: relu(1 - D(x)) + relu(1 + D(G(z)))."""
        self.parts.discriminator.requires_grad_(True)
        self.parts.critic.zero_grad()
        total = 0.0
        for count in self._counts():
            chosen = torch.randint(0, len(self.images), (count,), generator=random)
            mirrored = torch.rand(count, generator=random) < (0.5 if self.settings.flip else 0.0)
            chosen, mirrored = chosen.to(self.images.device), mirrored.to(self.images.device)
            real = self.images[chosen].float() / 127.5 - 1
            real = torch.where(mirrored[:, None, None, None], real.flip(3), real)
            labels = self.labels[chosen]
            with torch.no_grad():
                made = self._made(labels, random)
            on_real, on_made = self._judged(real, labels, random), self._judged(made, labels, random)
            loss = F.relu(1 - on_real).mean() + F.relu(1 + on_made).mean()
            (loss * (count / self.settings.batch_size)).backward()
            total += float(loss.detach()) * count / self.settings.batch_size
        self.parts.critic.step()
        return total

    def generate(self, random: torch.Generator) -> float:
        """One update of the generator: -D(G(z)), classes drawn evenly."""
        self.parts.discriminator.requires_grad_(False)
        self.parts.maker.zero_grad()
        total = 0.0
        for count in self._counts():
            classes = self.parts.network.config.num_classes
            labels = torch.randint(0, classes, (count,), generator=random).to(self.labels.device)
            loss = -self._judged(self._made(labels, random), labels, random).mean()
            (loss * (count / self.settings.batch_size)).backward()
            total += float(loss.detach()) * count / self.settings.batch_size
        self.parts.maker.step()
        return total

    def _counts(self) -> list[int]:
        """Sizes of the parts of a batch."""
        parts = min(self.settings.accumulate, self.settings.batch_size)
        return [len(part) for part in torch.arange(self.settings.batch_size).chunk(parts)]

    def _made(self, labels: Tensor, random: torch.Generator) -> Tensor:
        noise = torch.randn((len(labels), self.settings.latent_size), generator=random).to(self.images.device)
        one_hot = F.one_hot(labels, self.parts.network.config.num_classes).float()
        with biggan.batch_statistics(self.parts.network), autocast(self.dtype, self.images.device):
            made: Tensor = self.parts.network(noise, one_hot, 1.0)
        return made.float()

    def _judged(self, images: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
        seen = diff_augmented(images, self.settings.augmentation, random)
        with autocast(self.dtype, images.device):
            realness: Tensor = self.parts.discriminator(seen.contiguous(memory_format=torch.channels_last), labels)
        return realness


def fit(
    images: Tensor,
    labels: Tensor,
    watcher: Watcher,
    settings: HingeFit,
    dtype: torch.dtype,
    resume: ResumeFile,
) -> tuple[BigGAN, list[dict[str, float]]]:
    """The best averaged network fitted on images uint8 [N,3,H,W], statistics stored, and what was measured on the way.

    Raises SynthoodError at a loss that is not finite, and where every measurement found a collapsed class.
    """
    device, classes, side = images.device, len(watcher.classes), images.shape[-1]
    parts = build_parts(settings, classes, side, device)
    shadow = build_network(settings, classes, side, device)
    average, best = MovingAverage(parts.network, settings.average_decay), Best()
    loop = Iteration("biggan", settings.steps, resume, {**vars(parts), "average": average, "best": best})
    steps = Steps(parts, images, labels, settings, dtype)
    parts.network.train()
    for step in loop:
        random = generator(settings.seed, "hinge", step)
        critic_loss = sum(steps.discriminate(random) for _ in range(settings.discriminator_steps))
        loss = steps.generate(random)
        average.update(parts.network, step)
        loop.check(step, settings.learning_rate, None, hinge=critic_loss / settings.discriminator_steps, loss=loss)
        if (step + 1) % settings.watch.every == 0 or step + 1 == settings.steps:
            average.copy_to(shadow)
            figures = measured(shadow, watcher, settings)
            best.offer(step + 1, figures, average.state_dict())
            loop.history.append({"step": step + 1, **figures})
            print(told(loop.history[-1]), flush=True)
    kept = best.state or collapsed(settings, average.state_dict())
    shadow.load_state_dict(kept)
    settle_spectral_norms(shadow, classes)
    shadow.eval()
    biggan.store_truncation_statistics(shadow, derived_seed(settings.seed, "statistics"))
    return shadow, loop.history


def measured(network: BigGAN, watcher: Watcher, settings: HingeFit) -> dict[str, float]:
    """What the watcher finds of the network's images at truncation 1."""
    settle_spectral_norms(network, len(watcher.classes))
    network.eval()
    biggan.store_truncation_statistics(network, derived_seed(settings.seed, "statistics"), [FULL_ROW])
    seeds = [derived_seed(settings.seed, "watch", index) for index in range(len(watcher.made_labels))]
    names = [
        f"measured image {index} of class {watcher.classes[label]!r}"
        for index, label in enumerate(watcher.made_labels.tolist())
    ]
    made = biggan.sample(network, watcher.made_labels, seeds, 1.0, named=names.__getitem__)
    return watcher.measure(made.numpy())


def told(figures: dict[str, float]) -> str:
    """One line of figures."""
    return "measured: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def collapsed(settings: HingeFit, last: dict[str, Tensor]) -> dict[str, Tensor]:
    """The last state where that is asked for; else an error."""
    problem = (
        f"biggan: at every measurement a class was collapsed, its images less than {settings.watch.min_diversity} "
        f"times as far apart as real ones"
    )
    if settings.watch.on_collapse == "error":
        raise SynthoodError(
            f"{problem}; fit longer, with other rates or augmentation, or take objective vae-gan for a small set "
            f"(watch.on_collapse: warn keeps the last state)"
        )
    print(f"{problem}; the last state is kept", flush=True)
    return last
