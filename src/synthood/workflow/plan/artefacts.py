"""Paths of artefacts: rules write them by wildcards, the plan fills the wildcards in."""

IMAGES = "results/{dataset}/images/{part}.safetensors"
TRAIN, VAL, TEST = (IMAGES.replace("{part}", part) for part in ("train", "val", "test"))
WITHOUT_LEAKS = "results/{dataset}/images/without_leaks/{part}.safetensors"
OVERLAPS_ID = "results/{dataset}/overlaps_id.csv"
OVERLAPS = "results/{dataset}/overlaps.csv"
SHEET = "results/{dataset}/images/sheet.png"
LEAKS = "results/{dataset}/leaks.html"

BACKBONE_FEATURES = "results/{dataset}/backbones/{backbone}/{images}.safetensors"
IMAGE_SET = "results/{dataset}/{images}.safetensors"
"""Images whose features are cached: those of a part, of a generator's block, or what a gate kept."""

GENERATOR = "results/{dataset}/generators/{generator}"
SYNTHETIC = "results/{dataset}/synthetic/{generator}"
BLOCK = SYNTHETIC + "/block{block}.safetensors"
KEPT = SYNTHETIC + "/kept.safetensors"
KEPT_COUNTS = SYNTHETIC + "/kept.json"
QUALITY = SYNTHETIC + "/quality.json"
QUALITY_GALLERY = SYNTHETIC + "/quality.png"

OUTLIERS = "results/{dataset}/outliers/{outliers}"
ENCODER = OUTLIERS + "/encoder.safetensors"
EMBEDDINGS = OUTLIERS + "/embeddings.safetensors"
BOUNDARY = OUTLIERS + "/boundary.safetensors"
INVERTED = OUTLIERS + "/inverted.safetensors"
FLOW = OUTLIERS + "/flow.safetensors"
TAILS = OUTLIERS + "/tails.safetensors"
LATENTS = OUTLIERS + "/latents.safetensors"
GUIDED = OUTLIERS + "/guided.safetensors"
GATE = OUTLIERS + "/gate.safetensors"
OUTLIER_GALLERY = OUTLIERS + "/gallery.png"
OUTLIER_FIGURES = OUTLIERS + "/assessment.json"
CUSTOM_OUTLIERS = OUTLIERS + "/images.safetensors"
CURVE = OUTLIERS + "/curve.png"
CURVE_TABLE = OUTLIERS + "/curve.csv"

RUN = "results/{dataset}/models/{recipe}/seed{seed}"
MODEL = RUN + "/model.safetensors"
HISTORY = RUN + "/history.csv"
HEADS = RUN + "/heads.safetensors"
FEATURES = RUN + "/features"
SCORES, METRICS, SEARCH = (f"{RUN}/{name}" for name in ("scores.parquet", "metrics.csv", "search.csv"))
ACCESS_SCORES, ACCESS_METRICS, ACCESS_SEARCH = (
    f"{RUN}/{{access}}/{name}" for name in ("scores.parquet", "metrics.csv", "search.csv")
)
DENOISER_SCORES, DENOISER_METRICS, DENOISER_SEARCH = (
    path.replace("{access}", "denoiser") for path in (ACCESS_SCORES, ACCESS_METRICS, ACCESS_SEARCH)
)
ENSEMBLE = "results/{dataset}/models/{recipe}/ensembles/{table}"
ENSEMBLE_SCORES, ENSEMBLE_METRICS, ENSEMBLE_SEARCH = (
    f"{ENSEMBLE}/{name}" for name in ("scores.parquet", "metrics.csv", "search.csv")
)
MAP = RUN + "/map.png"

DEPLOYED = "results/{dataset}/deploy/detector"

TABLE = "results/tables/{table}.csv"
TABLE_GAINS = "results/tables/{table}-gains.csv"
TABLE_WIDE = "results/tables/{table}-wide.csv"
TABLE_LEADERBOARD = "results/tables/{table}-leaderboard.csv"
TABLE_LATEX = "results/tables/{table}.tex"
TABLE_MARKDOWN = "results/tables/{table}.md"
TABLE_HTML = "results/tables/{table}.html"
FIGURE = "results/figures/{table}/{figure}.{form}"
REPORT_PAGE = "results/report/index.html"
TABLE_PAGE = "results/report/tables/{table}.html"
