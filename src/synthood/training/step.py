"""One step of training: from the images of a batch to the move of the weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthood.common.devices import free_memory, out_of_memory
from synthood.common.ranks import sum_gradients
from synthood.common.seeds import generator, global_seed
from synthood.errors import SynthoodError
from synthood.training.batches import sample_weights
from synthood.training.forward import ForwardPass, auxiliary_inputs, forward
from synthood.training.methods.term import Batch, Prepared, Term
from synthood.training.networks.architectures.base import channels_last
from synthood.training.settings import RecipeSettings
from synthood.training.stability import set_rate
from synthood.training.terms.losses import cross_entropy


@dataclass
class Step:
    """Takes steps of a recipe, of so many in all; `real` is the number of real images, which come first.

    `class_weights` float32 [2,C], if any, are those of real and of synthetic samples.
    """

    recipe: RecipeSettings
    forward_pass: ForwardPass
    terms: nn.ModuleDict
    optimizers: list[torch.optim.Optimizer]
    prepared: Prepared
    classes: int
    real: int
    seed: int
    total: int
    class_weights: Tensor | None = None

    def __call__(self, step: int, rows: Tensor, images: Tensor, labels: Tensor, rate: float) -> dict[str, Tensor]:
        """One step on images uint8 [N,H,W,3], or features float32 [N,V,D], with labels int64 [N].

        `rows` int64 [N], on the CPU, are their numbers.
        The losses by name and the batch's accuracy, scalars on the device. Where memory runs out, the batch goes
        through the network in twice as many parts, now and in all later steps.
        """
        set_rate(self.optimizers[0], rate)
        figures = None
        while figures is None:
            try:
                # For layers that draw from the global generators; each process draws its own images' numbers
                with global_seed(images.device, self.seed, "layers", step, self.forward_pass.ranks.index):
                    figures = self._gradients(step, rows, images, labels)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            if figures is None:  # here, since the error kept alive what filled the memory
                self._halve(step)
        sum_gradients(self._network_parameters(), self._parameters_after(), self.forward_pass.ranks)
        for each in self.optimizers:
            each.step()
        for term in self.own_terms:
            term.after_step(self.forward_pass.network.head)
        self.forward_pass.network.after_step()
        return figures

    @property
    def own_terms(self) -> list[Term]:
        """The terms as such."""
        return [term for term in self.terms.values() if isinstance(term, Term)]

    def _gradients(self, step: int, rows: Tensor, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        recipe, seed, network, terms = self.recipe, self.seed, self.forward_pass.network, self.terms
        row_numbers, is_real = rows.to(images.device, non_blocking=True), rows < self.real
        inputs = self.prepared(images, generator(seed, "augmentation", step))
        targets = labels
        for method in recipe.methods:
            inputs, targets = method.mixed(inputs, targets, self.classes, generator(seed, "partners", step))
        inputs = channels_last(inputs)
        network.train()
        terms.train()
        auxiliary = auxiliary_inputs(terms, inputs, labels, generator(seed, "companions", step))
        dropping = generator(seed, "dropout", step)
        features, logits, auxiliary = forward(self.forward_pass, inputs, is_real, auxiliary, recipe, dropping)
        weights = self._weights(row_numbers < self.real, labels)
        batch = Batch(
            inputs,
            labels,
            row_numbers,
            logits.float(),
            features.float(),
            network.head,
            generator(seed, "terms", step),
            self.forward_pass.dtype,
            auxiliary,
            weights,
            step / self.total,
        )
        adjusted = batch.logits
        for method in recipe.methods:
            adjusted = method.adjusted_logits(adjusted)
        for term in self.own_terms:
            adjusted = term.adjust_logits(adjusted, batch)
        losses = {"cross_entropy": cross_entropy(adjusted, targets, recipe.label_smoothing, weights)}
        for term in self.own_terms:
            losses |= term(batch)
        loss = torch.stack(list(losses.values())).sum()
        for each in self.optimizers:
            each.zero_grad()
        loss.backward()
        return {"loss": loss, **losses, "accuracy": (logits.argmax(1) == labels).float().mean()}

    def _weights(self, is_real: Tensor, labels: Tensor) -> Tensor | None:
        """What each sample of a batch counts in sums over it, float32 [N]; None: 1 / N."""
        weights = sample_weights(is_real, self.recipe.effective_alpha) if self.recipe.weighted else None
        if self.class_weights is None:
            return weights
        of_class = self.class_weights[(~is_real).long(), labels]
        return of_class / len(labels) if weights is None else of_class * weights

    def _halve(self, step: int) -> None:
        """Frees memory and halves the micro-batches."""
        for each in self.optimizers:
            each.zero_grad()
        free_memory()
        forward_pass, count = self.forward_pass, self.forward_pass.count
        size = -(-count // forward_pass.micro_batches)
        if forward_pass.ranks.count > 1 or size < 4:
            raise SynthoodError(
                f"training: out of memory at step {step} with {size} images at a time; take a smaller batch_size"
                + (", or more devices" if forward_pass.ranks.count > 1 else ", a smaller network or smaller images")
            )
        parts = forward_pass.micro_batches = 2 * forward_pass.micro_batches
        print(
            f"training: out of memory at step {step}; from now on {-(-count // parts)} images at a time instead of "
            f"{size}, with the gradient of the whole batch; batch normalisation sees {parts} parts of a batch",
            flush=True,
        )

    def _network_parameters(self) -> list[nn.Parameter]:
        after = {id(parameter) for parameter in self._parameters_after()}
        return [parameter for parameter in self.forward_pass.network.parameters() if id(parameter) not in after]

    def _parameters_after(self) -> list[nn.Parameter]:
        """Of what every process computes for the whole batch: the last layer and the terms."""
        return [*self.forward_pass.network.head.parameters(), *self.terms.parameters()]

    def state_dict(self) -> dict[str, int]:
        return {"micro_batches": self.forward_pass.micro_batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.forward_pass.micro_batches = state["micro_batches"]
