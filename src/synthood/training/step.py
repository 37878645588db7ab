"""One step of training: from the images of a batch to the move of the weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthood.common.devices import free_memory, out_of_memory
from synthood.common.ranks import sum_gradients
from synthood.common.seeds import generator, global_seed
from synthood.errors import SynthoodError
from synthood.training.batches import sample_weights
from synthood.training.forward import Pass, companions, forward
from synthood.training.methods.term import Batch, Prepared, Term
from synthood.training.settings import RecipeSettings
from synthood.training.stability import set_rate
from synthood.training.terms.losses import cross_entropy


@dataclass
class Step:
    """Takes steps of a recipe, of so many in all; `real` is the number of real images, which come first."""

    recipe: RecipeSettings
    through: Pass
    terms: nn.ModuleDict
    optimizers: list[torch.optim.Optimizer]
    prepared: Prepared
    classes: int
    real: int
    seed: int
    total: int

    def __call__(self, step: int, rows: Tensor, images: Tensor, labels: Tensor, rate: float) -> dict[str, Tensor]:
        """One step on images uint8 [N,H,W,3] with labels int64 [N]; rows int64 [N], on the CPU, are their numbers.

        The losses by name and the batch's accuracy, scalars on the device. Where memory runs out, the batch goes
        through the network in twice as many parts, now and in all later steps.
        """
        set_rate(self.optimizers[0], rate)
        figures = None
        while figures is None:
            try:
                # For layers that draw from the global generators; each process draws its own images' numbers
                with global_seed(images.device, self.seed, "layers", step, self.through.ranks.index):
                    figures = self._gradients(step, rows, images, labels)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            if figures is None:  # here, since the error kept alive what filled the memory
                self._halve(step)
        sum_gradients(self._network_parameters(), self._parameters_after(), self.through.ranks)
        for each in self.optimizers:
            each.step()
        for term in self.own_terms:
            term.settle(self.through.network.head)
        return figures

    @property
    def own_terms(self) -> list[Term]:
        """The terms as such."""
        return [term for term in self.terms.values() if isinstance(term, Term)]

    def _gradients(self, step: int, rows: Tensor, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        recipe, seed, network, terms = self.recipe, self.seed, self.through.network, self.terms
        chosen, is_real = rows.to(images.device, non_blocking=True), rows < self.real
        inputs = self.prepared(images, generator(seed, "augmentation", step))
        targets = labels
        for method in recipe.methods:
            inputs, targets = method.mixed(inputs, targets, self.classes, generator(seed, "partners", step))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        network.train()
        terms.train()
        beside = companions(terms, inputs, labels, generator(seed, "companions", step))
        dropping = generator(seed, "dropout", step)
        features, logits, beside = forward(self.through, inputs, is_real, beside, recipe, dropping)
        weights = sample_weights(chosen < self.real, recipe.effective_alpha) if recipe.weighted else None
        batch = Batch(
            inputs,
            labels,
            chosen,
            logits.float(),
            features.float(),
            network.head,
            generator(seed, "terms", step),
            self.through.dtype,
            beside,
            weights,
            step / self.total,
        )
        seen = batch.logits
        for method in recipe.methods:
            seen = method.adjusted_logits(seen)
        for term in self.own_terms:
            seen = term.compared(seen, batch)
        losses = {"cross_entropy": cross_entropy(seen, targets, recipe.label_smoothing, weights)}
        for term in self.own_terms:
            losses |= term(batch)
        loss = torch.stack(list(losses.values())).sum()
        for each in self.optimizers:
            each.zero_grad()
        loss.backward()
        return {"loss": loss, **losses, "accuracy": (logits.argmax(1) == labels).float().mean()}

    def _halve(self, step: int) -> None:
        """Makes room, and parts of half the size."""
        for each in self.optimizers:
            each.zero_grad()
        free_memory()
        count = self.through.count
        size = -(-count // self.through.parts)
        if self.through.ranks.count > 1 or size < 4:
            raise SynthoodError(
                f"training: out of memory at step {step} with {size} images at a time; take a smaller batch_size"
                + (", or more devices" if self.through.ranks.count > 1 else ", a smaller network or smaller images")
            )
        self.through.parts *= 2
        print(
            f"training: out of memory at step {step}; from now on {-(-count // self.through.parts)} images at a time "
            f"instead of {size}, with the gradient of the whole batch; batch normalisation sees {self.through.parts} "
            f"parts of a batch",
            flush=True,
        )

    def _network_parameters(self) -> list[nn.Parameter]:
        after = {id(parameter) for parameter in self._parameters_after()}
        return [parameter for parameter in self.through.network.parameters() if id(parameter) not in after]

    def _parameters_after(self) -> list[nn.Parameter]:
        """Of what every process computes for the whole batch: the last layer and the terms."""
        return [*self.through.network.head.parameters(), *self.terms.parameters()]

    def state_dict(self) -> dict[str, int]:
        return {"parts": self.through.parts}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.through.parts = state["parts"]
