"""Fitting a BigGAN as the decoder of a conditional VAE with a discriminator."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pytorch_pretrained_biggan import BigGAN
from torch import Tensor, nn

from synthood.common.averages import MovingAverage
from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.seeds import derived_seed, generator
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.discriminator import Discriminator, augmented
from synthood.generators.biggan.settings import BigGANFit
from synthood.training.augmentation.geometry import shifted

DISCRIMINATOR_RATE = 1e-3
AVERAGE_DECAY = 0.998


class Encoder(nn.Module):
    """q(z|x,y): images [N,3,32,32] and one-hot labels [N,C] to mean and log-variance [N,Z] each."""

    def __init__(self, classes: int, latent_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3 + classes, 32, 4, 4),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 128),
            nn.ReLU(),
            nn.Linear(128, 2 * latent_size),
        )

    def forward(self, images: Tensor, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        planes = one_hot[:, :, None, None].expand(-1, -1, *images.shape[2:])
        mean, log_variance = self.layers(torch.cat([images, planes], 1)).chunk(2, 1)
        return mean, log_variance


def negative_elbo(images: Tensor, made: Tensor, mean: Tensor, log_variance: Tensor, variance: float) -> Tensor:
    """Evidence lower bound of a Gaussian decoder with fixed variance (arXiv 1312.6114), negated, constants left out."""
    error = (made - images).square().sum((1, 2, 3)) / (2 * variance)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return (error + divergence).mean()


@dataclass
class Parts:
    """The networks of one fit and their optimisers."""

    network: BigGAN
    encoder: Encoder
    discriminator: Discriminator
    maker: torch.optim.Adam
    critic: torch.optim.Adam


def build_parts(settings: BigGANFit, classes: int, device: torch.device) -> Parts:
    """Everything initialised from the seed on the CPU, then moved."""
    network = biggan.build(classes, settings.latent_size, settings.channel_width, derived_seed(settings.seed, "biggan"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "helpers"))
        encoder, discriminator = Encoder(classes, settings.latent_size), Discriminator(classes)
    for module in (network, encoder, discriminator):
        module.to(device)
    making = [*network.parameters(), *encoder.parameters()]
    return Parts(
        network,
        encoder,
        discriminator,
        torch.optim.Adam(making, settings.learning_rate, betas=(0.5, 0.99)),
        torch.optim.Adam(discriminator.parameters(), DISCRIMINATOR_RATE, betas=(0.0, 0.99)),
    )


def fit(images: Tensor, labels: Tensor, classes: int, settings: BigGANFit, resume: ResumeFile) -> BigGAN:
    """The averaged network fitted on images float32 [N,3,32,32] in [-1,1], with statistics for each truncation.

    Computed in float32 on the images' device. Raises SynthoodError at a loss that is not finite.
    """
    parts = build_parts(settings, classes, images.device)
    average = MovingAverage(parts.network, AVERAGE_DECAY)
    loop = Iteration("biggan", settings.steps, resume, {**vars(parts), "average": average})
    constant = 0.6 * settings.steps
    parts.network.train()
    for step in loop:
        decay = max(0.0, (step - constant) / max(settings.steps - constant, 1))
        rate = settings.learning_rate * (1 - 0.95 * decay)
        parts.maker.param_groups[0]["lr"] = rate
        random = generator(settings.seed, "biggan", step)
        chosen = torch.randint(0, len(images), (settings.batch_size,), generator=random).to(images.device)
        real = shifted(images[chosen], settings.shift, "replicate", random)
        with biggan.batch_statistics(parts.network):
            losses = one_step(parts, real, labels[chosen], settings, step, random)
        average.update(parts.network, step)
        loop.check(step, rate, None, **losses)
    average.copy_to(parts.network)
    settle_spectral_norms(parts.network, classes)
    parts.network.eval()
    biggan.store_truncation_statistics(parts.network, derived_seed(settings.seed, "statistics"))
    return parts.network


def one_step(
    parts: Parts, real: Tensor, labels: Tensor, settings: BigGANFit, step: int, random: torch.Generator
) -> dict[str, float]:
    """One update of the discriminator (once it takes part), then one of generator and encoder."""
    one_hot = F.one_hot(labels, parts.network.config.num_classes).float()
    noise = torch.randn((len(real), settings.latent_size), generator=random).to(real.device)
    mean, log_variance = parts.encoder(real, one_hot)
    made = parts.network(mean + (0.5 * log_variance).exp() * noise, one_hot, 1.0)
    total = negative_elbo(real, made, mean, log_variance, settings.reconstruction_variance)
    losses = {"elbo": -float(total.detach())}
    if step >= settings.adversarial_from * settings.steps:
        made = parts.network(torch.randn(noise.shape, generator=random).to(real.device), one_hot, 1.0)
        # Apart, since the discriminator compares the images of a batch with one another.
        on_real = parts.discriminator(augmented(real, random), labels)
        on_made = parts.discriminator(augmented(made.detach(), random), labels)
        critic_loss = F.relu(1 - on_real).mean() + F.relu(1 + on_made).mean()
        parts.critic.zero_grad()
        critic_loss.backward()
        parts.critic.step()
        total = total - settings.adversarial_weight * parts.discriminator(augmented(made, random), labels).mean()
        losses["hinge"] = float(critic_loss.detach())
    parts.maker.zero_grad()
    total.backward()
    parts.maker.step()
    losses["loss"] = float(total.detach())
    return losses


@torch.no_grad()
def settle_spectral_norms(network: BigGAN, classes: int, passes: int = 5) -> None:
    """Power iterations on the averaged weights: they run only in training mode."""
    network.train()
    device = network.embeddings.weight.device
    noise = torch.zeros(classes, network.config.z_dim, device=device)
    with biggan.batch_statistics(network):
        for _ in range(passes):
            network(noise, torch.eye(classes, device=device), 1.0)
