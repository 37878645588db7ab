"""CLIP as a classifier by words: a recipe without training, whose last layer is the texts' embeddings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from synthood.common.foreign_folders import refuse_code
from synthood.common.lazy import F, torch
from synthood.common.settings import Positive
from synthood.errors import SynthoodError, first_line, nearest, printable
from synthood.training.networks.architectures.base import ImageSize, Sha256
from synthood.training.networks.architectures.from_transformers import CONFIG, WEIGHTS, TransformersNetwork, quiet
from synthood.training.networks.heads.cosine import CosineHead
from synthood.training.networks.imported_recipe import ImportedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from synthood.training.networks.model import Classifier

TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
Template = Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]


class ZeroShotRecipe(ImportedRecipe):
    """CLIP by the words of the classes, without training: logits are scaled cosines of images and texts.

    Features are the images' embeddings at the length `scale`; those of a class's texts are averaged over the templates
    (arXiv 2103.00020, section 3.1.4).
    """

    kind: Literal["zero-shot"]
    path: Annotated[str, Field(min_length=1, description="folder of a CLIP with its tokenizer, saved by transformers")]
    sha256: Sha256 | None = None
    words: Annotated[
        dict[str, Annotated[str, Field(min_length=1)]],
        Field(description="what stands for a class in the templates, where that is not its name"),
    ] = {}
    templates: Annotated[
        list[Template], Field(min_length=1, description="texts of an image of a class; {} stands for its word")
    ] = ["a photo of a {}."]
    scale: Annotated[
        Positive | None, Field(description="of the cosines: s in s cos(h, w); null: the folder's, learned")
    ] = None
    image_size: ImageSize = None

    @field_validator("path")
    @classmethod
    def _one_for_all_seeds(cls, path: str) -> str:
        if "{" in path or "}" in path:
            raise ValueError(f"{path!r} has braces in it; nothing is drawn, so one folder serves all seeds")
        return path

    @property
    def network(self) -> TransformersNetwork:
        """CLIP's image encoder with its projection, on images of its own size unless `image_size` says otherwise."""
        bare = TransformersNetwork(name="transformers/clip_with_projection", pretrained=self.path, sha256=self.sha256)
        size = self.image_size
        if size is None:
            try:
                own = bare.own_inputs()
            except SynthoodError:  # named where the model is made
                own = None
            size = own.side if own else None
        return bare.model_copy(update={"image_size": size, "head": CosineHead(scale=self.scale or 1.0)})

    def weights_file(self) -> Path:
        return Path(self.path) / WEIGHTS

    def classifier(self, classes: list[str], report: Callable[[str], None] = print) -> Classifier:
        from synthood.training.networks.architectures.base import build
        from synthood.training.networks.model import Classifier

        words = self.words_of(classes)
        network = self.network
        network.check_files()
        if not self.weights_file().is_file():
            raise SynthoodError(f"{printable(self.path)}: weights in several files; save them as one {WEIGHTS}")
        own, state = network.own_inputs(), network.own_weights()
        if own is None or state is None:
            raise SynthoodError(f"{printable(self.path)}: no CLIP that transformers saved")
        texts, learned = self.texts(classes, words)
        scale = self.scale or learned
        network = network.model_copy(update={"head": CosineHead(scale=scale)})
        made = build(network.architecture, len(classes), seed=0)
        whole = {f"network.{key}": value for key, value in state.items()}
        whole |= {"head.weight": texts, "head.bias": torch.zeros(len(classes))}
        made.load_state_dict(whole)
        report(f"{printable(self.path)}: cosines times {scale:g}; {len(self.templates)} templates")
        report("words: " + ", ".join(f"{name} by {word!r}" for name, word in zip(classes, words, strict=True)))
        return Classifier(network.architecture, classes, own.mean, own.std, made.eval())

    def words_of(self, classes: list[str]) -> list[str]:
        """A word for each class; raises SynthoodError where `words` names another class."""
        for name in self.words:
            if name not in classes:
                raise SynthoodError(f"words: {name!r} is no class of the dataset{nearest(name, classes)}")
        return [self.words.get(name, name.replace("_", " ")) for name in classes]

    def texts(self, classes: list[str], words: list[str]) -> tuple[Tensor, float]:
        """Directions [C,D] of the classes' texts, and the scale of cosines that the folder has.

        Raises SynthoodError where the tokenizer has no token for a word, or a text is too long.
        """
        tokenizer, model = loaded(Path(self.path))
        unknown = {tokenizer.unk_token_id, tokenizer.eos_token_id}
        for name, word, ids in zip(classes, words, tokenizer(words, add_special_tokens=False).input_ids, strict=True):
            if not ids or unknown & set(ids):
                raise SynthoodError(
                    f"{printable(self.path)}: class {name!r}: the tokenizer has no token for the word {word!r}; give "
                    f"the class another word under `words:`"
                )
        sums = []
        for template in self.templates:
            written = [template.replace("{}", word) for word in words]
            tokens = tokenizer(written, padding=True, return_tensors="pt")
            longest = int(tokens.attention_mask.sum(1).max())
            if longest > (most := model.config.text_config.max_position_embeddings):
                raise SynthoodError(
                    f"templates: {template!r} makes a text of {longest} tokens, the text encoder takes {most}; "
                    f"shorten it or the word"
                )
            # The end of a text is where its embedding is read, and stands for letters that are not known
            ends = torch.isin(tokens.input_ids, torch.tensor(sorted(unknown))) & tokens.attention_mask.bool()
            if (ends.sum(1) != 1).any():
                raise SynthoodError(
                    f"templates: the tokenizer has no token for something in {template!r}; write it otherwise"
                )
            with torch.no_grad():
                hidden = model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
                sums.append(F.normalize(model.text_projection(hidden.pooler_output).float()))
        return F.normalize(torch.stack(sums).mean(0)), float(model.logit_scale.detach().exp())


def loaded(folder: Path) -> tuple[Any, Any]:
    """The tokenizer and the whole CLIP of a folder; raises SynthoodError where either is missing or incomplete."""
    from safetensors import SafetensorError
    from transformers import CLIPModel, CLIPTokenizer

    refuse_code(folder)
    # Without its files the library makes a tokenizer that knows no word
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise SynthoodError(f"{printable(folder)}: no tokenizer in it (tokenizer.json, or vocab.json and merges.txt)")
    try:
        with quiet():
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            model, found = CLIPModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise SynthoodError(
            f"{printable(folder)}: not a CLIP and its tokenizer as transformers saves them ({first_line(error)})"
        ) from error
    # The library fills missing weights with noise and goes on
    if wrong := sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in found[kind]):
        raise SynthoodError(f"{printable(folder)}: weights that do not fit its {CONFIG} (missing {wrong[0]})")
    return tokenizer, model.eval()
