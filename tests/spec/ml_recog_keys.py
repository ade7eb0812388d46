"""TAO's keys of ml_recog, as its schemas have them: name, type, default, bounds or enum, flags; wandb's apart."""

ROWS = """
model_name | string | "" |  |
encryption_key | string | "" |  |
results_dir | string | "" |  |
model.backbone | categorical | "resnet_50" | enum resnet_50/resnet_101/fan_small/fan_base/fan_large/fan_tiny/NVDINO |
model.feat_dim | int | 256 |  |
model.input_channels | int | 3 |  |
model.input_height | int | 224 | parent_param |
model.input_width | int | 224 | parent_param |
model.pretrained_embedder_path | string | null |  |
model.pretrained_model_path | string | null |  |
model.pretrained_trunk_path | string | null |  |
dataset.class_map | string | null |  |
dataset.num_instance | int | 4 |  |
dataset.pixel_mean | list | [0.485, 0.456, 0.406] |  | automl off
dataset.pixel_std | list | [0.226, 0.226, 0.226] |  | automl off
dataset.prob | float | 0.5 | cond > 0.0 |
dataset.random_rotation | bool | false |  |
dataset.re_prob | float | 0.5 | cond > 0.0 |
dataset.train_dataset | string | "" |  |
dataset.val_dataset | collection | null |  | automl off
dataset.workers | int | 8 |  |
dataset.color_augmentation.brightness | float | 0.5 | [0, 2] |
dataset.color_augmentation.contrast | float | 0.3 | [0, 2] |
dataset.color_augmentation.enabled | bool | true |  |
dataset.color_augmentation.hue | float | 0.1 | [0, 0.5] |
dataset.color_augmentation.saturation | float | 0.1 | [0, 2] |
dataset.gaussian_blur.enabled | bool | true |  |
dataset.gaussian_blur.kernel | list_3 | [15, 15] | depends_on model.input_height,model.input_width | automl off
dataset.gaussian_blur.sigma | list | [0.3, 0.7] |  | automl off
train.batch_size | int | 4 |  |
train.checkpoint_interval | int | 1 | [1, -] | popular
train.checkpoint_interval_unit | categorical | "epoch" | enum epoch/step |
train.clip_grad_norm | float | 0.0 | cond >= 0.0 |
train.gpu_ids | list | [0] |  | popular, automl off
train.num_epochs | int | 10 | [1, inf] | popular
train.num_gpus | int | 1 | [1, -] | popular
train.num_nodes | int | 1 | [1, -] | popular
train.report_accuracy_per_class | bool | true |  |
train.results_dir | string | "" |  |
train.resume_training_checkpoint_path | string | "" |  |
train.seed | int | 1234 | [-1, inf] |
train.smooth_loss | bool | true |  |
train.train_embedder | bool | true |  |
train.train_trunk | bool | true |  |
train.val_batch_size | int | 4 |  |
train.validation_interval | int | 1 | [1, -] | popular
train.cudnn.benchmark | bool | false |  |
train.cudnn.deterministic | bool | true |  |
train.optim.embedder.base_lr | float | 0.00035 | [0, 1] cond > 0.0 | AUTOML
train.optim.embedder.bias_lr_factor | float | 1.0 | [1, 10] cond >= 1 | AUTOML
train.optim.embedder.momentum | float | 0.9 | [0, 1] cond > 0.0 | AUTOML
train.optim.embedder.weight_decay | float | 0.0005 | [0, 1] cond > 0.0 | AUTOML
train.optim.embedder.weight_decay_bias | float | 0.0005 | [0, 1] cond > 0.0 | AUTOML
train.optim.gamma | float | 0.1 | [0, 1] cond > 0.0 | AUTOML
train.optim.miner_function_margin | float | 0.1 | [0, 2] cond > 0.0 | AUTOML
train.optim.name | categorical | "Adam" | enum Adam/SGD/Adamax |
train.optim.steps | list | [40, 70] |  | automl off
train.optim.triplet_loss_margin | float | 0.3 | [0, 2] cond > 0.0 | AUTOML
train.optim.trunk.base_lr | float | 0.00035 | [0, 1] cond > 0.0 | AUTOML
train.optim.trunk.bias_lr_factor | float | 1.0 | [1, 10] cond >= 1 | AUTOML
train.optim.trunk.momentum | float | 0.9 | [0, 1] cond > 0.0 | AUTOML
train.optim.trunk.weight_decay | float | 0.0005 | [0, 1] cond > 0.0 | AUTOML
train.optim.trunk.weight_decay_bias | float | 0.0005 | [0, 1] cond > 0.0 | AUTOML
train.optim.warmup_factor | float | 0.01 | [0, 1] cond > 0.0 | AUTOML
train.optim.warmup_iters | int | 10 | [1, 10000] cond > 0 | AUTOML
train.optim.warmup_method | categorical | "linear" | enum linear/constant |
evaluate.batch_size | int | 4 |  |
evaluate.checkpoint | string | ??? |  |
evaluate.gpu_ids | list | [0] |  | popular, automl off
evaluate.num_gpus | int | 1 | [1, -] | popular
evaluate.num_nodes | int | 1 | [1, -] | popular
evaluate.report_accuracy_per_class | bool | true |  |
evaluate.results_dir | string | "" |  |
evaluate.topk | int | 1 |  |
evaluate.trt_engine | string | "" |  |
inference.batch_size | int | 1 |  |
inference.checkpoint | string | ??? |  |
inference.gpu_ids | list | [0] |  | popular, automl off
inference.inference_input_type | categorical | "classification_folder" | enum image/image_folder/classification_folder |
inference.input_path | string | ??? |  |
inference.num_gpus | int | 1 | [1, -] | popular
inference.num_nodes | int | 1 | [1, -] | popular
inference.results_dir | string | "" |  |
inference.topk | int | 1 |  |
inference.trt_engine | string | "" |  |
export.batch_size | int | -1 |  |
export.checkpoint | string | null |  |
export.gpu_id | int | 0 |  |
export.on_cpu | bool | false |  |
export.onnx_file | string | null |  |
export.opset_version | int | 14 |  |
export.results_dir | string | null |  |
export.verbose | bool | true |  |
gen_trt_engine.batch_size | int | -1 | [-1, -] | popular
gen_trt_engine.gpu_id | int | 0 | [0, -] | popular
gen_trt_engine.onnx_file | string | ??? |  |
gen_trt_engine.results_dir | string | "" |  |
gen_trt_engine.timing_cache | string | "" |  |
gen_trt_engine.trt_engine | string | ??? |  |
gen_trt_engine.verbose | bool | false |  |
gen_trt_engine.tensorrt.calibration.cal_batch_size | int | 1 | [1, -] | popular
gen_trt_engine.tensorrt.calibration.cal_batches | int | 1 | [1, -] | popular
gen_trt_engine.tensorrt.calibration.cal_cache_file | string | ??? |  |
gen_trt_engine.tensorrt.calibration.cal_image_dir | list | ??? |  | automl off
gen_trt_engine.tensorrt.data_type | categorical | "FP32" | enum FP32/FP16/INT8 |
gen_trt_engine.tensorrt.layers_precision | list | [] |  | automl off
gen_trt_engine.tensorrt.max_batch_size | int | 1 | [1, -] | popular
gen_trt_engine.tensorrt.min_batch_size | int | 1 | [1, -] | popular
gen_trt_engine.tensorrt.opt_batch_size | int | 1 | [1, -] | popular
gen_trt_engine.tensorrt.workspace_size | int | 1024 | [0, -] |
"""


def rows():
    """Name, type, default, bounds and flags of each key, as text."""
    text = ROWS.replace("NVDINO", "nvdinov2_vit_large_legacy")  # one line would be too long
    return [tuple(cell.strip() for cell in f"{line} ".split(" |")) for line in text.strip().splitlines()]
