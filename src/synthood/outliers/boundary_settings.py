"""Settings of the stage `boundary`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import Count, Positive, Seed, Settings


class BoundarySettings(Settings):
    """Outlier embeddings around the outermost ID embeddings of each class."""

    k: Annotated[int, Field(ge=1, description="neighbours; distances are to the k-th of the class")]
    boundary_points: Annotated[int, Field(ge=1, description="of each class, those with the farthest k-th neighbour")]
    per_class: Annotated[
        int | None, Field(ge=2, description="ID embeddings of each class, drawn by the seed; all by default")
    ] = None
    rounds: Annotated[Count, Field(description="with candidates drawn anew; each keeps as many")] = 1
    points_per_round: Annotated[
        int | None, Field(ge=1, description="boundary points drawn for a round; all by default")
    ] = None
    candidates: Annotated[int, Field(ge=2, description="drawn around each boundary point")] = 400
    keep_per_point: Annotated[int, Field(ge=1, description="candidates kept of each boundary point and round")] = 2
    noise: Annotated[Positive, Field(description="standard deviation of a candidate's coordinates")] = 0.1
    shared_noise: Annotated[
        bool,
        Field(description="one draw for all points of a round, as the papers' code does; far faster with many points"),
    ] = False
    selection: Annotated[
        Literal["knn", "random", "released"],
        Field(description="knn: the farthest of each point; released: the shuffled choice of the papers' code"),
    ] = "knn"
    seed: Seed = 0

    @model_validator(mode="after")
    def _enough_to_choose_from(self) -> "BoundarySettings":
        for key, few, many in (
            ("keep_per_point", self.keep_per_point, "candidates"),
            ("points_per_round", self.points_per_round or 1, "boundary_points"),
            ("boundary_points", self.boundary_points if self.per_class else 1, "per_class"),
        ):
            if (most := getattr(self, many)) is not None and few > most:
                raise ValueError(f"{key} {few} must not be above {many} {most}")
        if self.per_class is not None and self.k >= self.per_class:
            raise ValueError(f"k {self.k} must be below per_class {self.per_class}")
        return self
