# What fish completes behind babycli. Made by tools/build_completions.py; starts no Python.

# Gives the words that were typed and are no options; those behind $argv, a command, or fails if it is another one.
function __babycli_arguments
    set -l typed (commandline -opc)[2..]
    set -l words
    set -l skips no
    for word in $typed
        if test $skips = yes
            set skips no
        else if string match -q -- '-*' $word
            contains -- $word --from --tasks -t --data -d --labeled-s --synthetic --source --devcv --devcv-images --split --machine-devbench --mode --set --depth --manifest --output -o --images --level --within --distance --model -m --model-args --trials --limit -l --sample --seed --control --prompt --scoring --answers --history --max-new-tokens --batch-size -b --device --dtype --batch-check --cache --send-pictures-to --output-path --name --save --config --watch-for --watch-settle --models --metrics --rename --baselines --humans --overlap --only --compare --by --format --plot --hub-dataset --entry --to --logs --sign --checkpoint; and set skips yes
        else
            set -a words $word
        end
    end
    set -l n (count $argv)
    if test $n -gt 0
        test (count $words) -ge $n; and test "$words[1..$n]" = "$argv"; or return 1
        set -e words[1..$n]
    end
    for word in $words
        echo $word
    end
end

# Tells whether a command was typed, and $argv[1] arguments behind it, or more where that ends with +.
function __babycli_at
    set -l words (__babycli_arguments $argv[2..]); or return 1
    set -l n (string trim -c + -- $argv[1])
    if string match -q -- '*+' $argv[1]
        test (count $words) -ge $n
    else
        test (count $words) -eq $n
    end
end

# Gives the value of an option that was typed, else $argv[1]; the rest are the option's spellings.
function __babycli_typed
    set -l value $argv[1]
    set -l words (commandline -opc)
    for i in (seq (count $words))
        for name in $argv[2..]
            test "$words[$i]" = $name; and test $i -lt (count $words); and set value $words[(math $i + 1)]
            string match -q -- "$name=*" $words[$i]; and set value (string replace -- "$name=" '' $words[$i])
        end
    end
    string replace -r '^~(?=/)' -- $HOME $value
end

function __babycli_logs
    set -l found (__babycli_typed logs --logs)
    for word in (__babycli_arguments report)
        test -d $word; and set found $word
    end
    echo $found
end

function __babycli_sets
    set -l data dataset
    set -q BABYCLI_DATA; and set data $BABYCLI_DATA
    for place in (__babycli_typed $data --data -d)/devcv/*/
        string replace -r '.*/' '' -- (string trim -r -c / -- $place)
    end
end

function __babycli_hub
    set -l cache $HOME/.cache
    set -q XDG_CACHE_HOME; and set cache $XDG_CACHE_HOME
    set -l hub $cache/huggingface/hub
    set -q HF_HOME; and set hub $HF_HOME/hub
    set -q HF_HUB_CACHE; and set hub $HF_HUB_CACHE
    for place in $hub/models--*/
        string replace -r '.*/models--' '' -- (string trim -r -c / -- $place) | string replace -- -- /
    end
end

function __babycli_models
    for place in (__babycli_logs)/*/*/run.json
        string replace -r '.*/([^/]+)/[^/]+/run\.json$' '$1' -- $place | string replace __ /
        string replace -rf -- '^  "name": "([^"\\\\]+)".*' '$1' <$place
    end
end

function __babycli_runs
    for place in (__babycli_logs)/*/*/run.json
        string replace -r '.*/([^/]+/[^/]+)/run\.json$' '$1' -- $place
    end
end

# Gives each line behind what of a list is typed already.
function __babycli_list
    set -l head (string replace -r '[^,]*$' '' -- (commandline -ct | string replace -r '^--[a-z-]+=' ''))
    while read -l word
        string match -q -- "*,$word,*" ",$head"; or echo $head$word
    end
end

# Completes the file behind NAME=.
function __babycli_named_file
    set -l word (commandline -ct | string replace -r '^--[a-z-]+=' '')
    string match -q -- '*=*' $word; or return
    set -l head (string replace -r '[^=]*$' '' -- $word)
    for file in (__fish_complete_path (string replace -r '.*=' '' -- $word))
        echo $head$file
    end
end

complete -c babycli -e
complete -c babycli -f
function __babycli_value_folder; true; __fish_complete_directories (commandline -ct); end
function __babycli_value_task; begin; printf '%s\n' 'babyvlm' 'devcv' 'machine_devbench' 'labeled_s' 'vtwt' 'baby_winoground' 'saycam_caption' 'baby_pv' 'baby_localize' 'baby_leftright' 'baby_spatialdetails' 'baby_vdr_binary' 'baby_vdr_open' 'baby_compare_real' 'baby_compare_synthetic' 'baby_count' 'baby_memory' 'baby_subitize' 'lex_nouns' 'lex_verbs' 'lex_adjectives' 'gram_subject_verb' 'gram_subject_adjective' 'gram_negation' 'gram_order_matters' 'gram_prepositions' 'gram_comparatives' 'gram_counting' 'gram_embedded_relative'; end | __babycli_list; end
function __babycli_value_file; true; end
function __babycli_value_source; printf '%s\n' 'saycam=' 'labeled_s=' 'synthetic=' 'machine_devbench='; __babycli_named_file; end
function __babycli_value_set; printf '%s\n' 'saycam=' 'ego4d=' 'babyview=' 'nih='; __babycli_named_file; end
function __babycli_value_text; true; end
function __babycli_value_mode; printf '%s\n' 'symlink' 'hardlink' 'copy' 'reflink'; end
function __babycli_value_linked_set; begin; __babycli_sets; end | __babycli_list; end
function __babycli_value_depth; printf '%s\n' 'names' 'header' 'checksum' 'decode'; end
function __babycli_value_level; begin; printf '%s\n' 'sha256' 'name' 'within' 'near' 'recording'; end | __babycli_list; end
function __babycli_value_model; printf '%s\n' 'babyllava' 'clip' 'control' 'cvcl' 'dual' 'llava' 'llava_next' 'lmms' 'openai' 'plugin' 'replay' 'hf' 'babyllava-tiny' 'babyllava-v2-tiny' 'control:constant' 'control:random' 'control:length' 'control:letter' 'control:pixels'; __babycli_hub; end
function __babycli_value_argument; begin; printf '%s\n' 'pretrained=' 'conv_template=' 'vision_tower=' 'image_aspect_ratio=' 'base=' 'device_map=' 'seed=' 'pick=' 'text=' 'normalize_features=' 'vocab=' 'head=' 'chat_template=' 'sign=' 'batch_size=' 'concurrency=' 'timeout=' 'patience=' 'key_env=' 'price_in=' 'price_out=' 'load_in_4bit=' 'load_in_8bit=' 'tiles='; end | __babycli_list; __babycli_named_file; end
function __babycli_value_control; printf '%s\n' 'blind' 'shuffled' 'constant'; end
function __babycli_value_asked_task; printf '%s\n' 'labeled_s=' 'vtwt=' 'baby_winoground=' 'saycam_caption=' 'baby_pv=' 'baby_localize=' 'baby_leftright=' 'baby_spatialdetails=' 'baby_vdr_binary=' 'baby_vdr_open=' 'baby_compare_real=' 'baby_compare_synthetic=' 'baby_count=' 'baby_memory=' 'baby_subitize=' 'lex_nouns=' 'lex_verbs=' 'lex_adjectives=' 'gram_subject_verb=' 'gram_subject_adjective=' 'gram_negation=' 'gram_order_matters=' 'gram_prepositions=' 'gram_comparatives=' 'gram_counting=' 'gram_embedded_relative='; end
function __babycli_value_scoring; printf '%s\n' 'fair' 'reference'; end
function __babycli_value_answer; begin; printf '%s\n' 'written' 'chosen'; end | __babycli_list; end
function __babycli_value_history; printf '%s\n' 'own' 'gold'; end
function __babycli_value_batch_size; printf '%s\n' 'auto'; end
function __babycli_value_device; printf '%s\n' 'cpu' 'cuda' 'cuda:0'; end
function __babycli_value_precision; printf '%s\n' 'float32' 'float16' 'bfloat16'; end
function __babycli_value_evaluated_models; begin; __babycli_models; end | __babycli_list; end
function __babycli_value_metric; begin; printf '%s\n' 'main' 'all' 'acc' 'image_score' 'text_score' 'group_score' 'positive_context_group_score' 'negative_context_group_score' 'meteor' 'acc_reference' 'acc_chosen' 'acc_exact' 'acc_exact_reference' 'acc_exact_chosen' 'acc_adjacent' 'acc_adjacent_reference' 'acc_adjacent_chosen' 'acc_learning' 'acc_learning_reference' 'acc_learning_chosen' 'acc_testing_raw' 'acc_testing_raw_reference' 'acc_testing_raw_chosen' 'acc_testing_adjusted' 'acc_testing_adjusted_reference' 'acc_testing_adjusted_chosen'; end | __babycli_list; end
function __babycli_value_baselines; printf '%s\n' 'paper'; end
function __babycli_value_only; printf '%s\n' 'clean' 'leaked'; end
function __babycli_value_compared_run; __babycli_models; __babycli_runs; end
function __babycli_value_kind; printf '%s\n' 'category' 'session' 'word' 'number' 'turn' 'overlap' 'style' 'frequency_bin' 'group' 'cluster'; end
function __babycli_value_format; printf '%s\n' 'table' 'md' 'csv' 'json' 'latex' 'html' 'hf' 'eee' 'egobabyvlm' 'leaderboard'; end
function __babycli_value_evaluated_model; __babycli_models; end
function __babycli_value_entry; printf '%s\n' 'id=' 'model=' 'team=' 'architecture=' 'training_data=' 'category=' 'report_url=' 'code_url='; end
function __babycli_value_tracker; printf '%s\n' 'wandb:' 'mlflow:'; end
function __babycli_value_run; __babycli_runs; end
function __babycli_value_sign; printf '%s\n' 'logprob' 'loss'; end
complete -c babycli -n '__babycli_at 0' -a data -d 'Label files and images: fetch, link, check.'
complete -c babycli -n '__babycli_at 0' -a eval -d 'Evaluate a model on tasks of BabyVLM and the DevCV Toolbox, or on your own.'
complete -c babycli -n '__babycli_at 0' -a report -d 'Show all evaluated models in one table: tasks across, 95 % intervals, chance in its own row.'
complete -c babycli -n '__babycli_at 0' -a runs -d 'List, show, rename and delete runs.'
complete -c babycli -n '__babycli_at 0' -a trials -d 'Trials of your own: check a file of them, or make one.'
complete -c babycli -n '__babycli_at 0' -a cite -d 'Write BibTeX of the papers behind the tasks, data, models and statistics of some runs, and of babycli.'
complete -c babycli -n '__babycli_at 0' -a tasks -d 'List the tasks.'
complete -c babycli -n '__babycli_at 0' -a models -d 'List the model families, or show one model.'
complete -c babycli -n '__babycli_at 0' -a demo -d 'Try babycli without any data: link, verify, evaluate and report on drawn pictures, offline.'
complete -c babycli -n '__babycli_at 0' -a doctor -d 'Check this machine: packages, GPU, a torchvision that would break transformers. Exit 5 if one fails.'
complete -c babycli -n '__babycli_at 0' -a bridge -d 'The tasks for another evaluation program.'
complete -c babycli -n '__babycli_at 0' -a submission -d 'A submission to the BabyVLM leaderboard: babycli submission DIR --model ...'
complete -c babycli -n '__babycli_at 0' -l version -d 'Show the version.'
complete -c babycli -n '__babycli_at 0' -l install-completion -d 'Let every new shell complete what babycli takes.'
complete -c babycli -n '__babycli_at 0' -l show-completion -d 'Write the completion of this shell, or of bash, zsh or fish.'
complete -c babycli -n '__babycli_at 0' -s h -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 data' -a labels -d 'Fetch the label files, or import them; checked against the manifests.'
complete -c babycli -n '__babycli_at 0 data' -a link -d 'Check folders or zips of images against the labels, then link them into the dataset folder.'
complete -c babycli -n '__babycli_at 0 data' -a status -d 'Show what is there: label files, links and where they lead, and which tasks are ready.'
complete -c babycli -n '__babycli_at 0 data' -a verify -d 'Check labels against the manifests and images against the labels; exit 3 or 4 if anything is wrong.'
complete -c babycli -n '__babycli_at 0 data' -a manifest -d 'Write the SHA-256 of every file in a folder or zip, for `verify --manifest` and `sha256sum -c`.'
complete -c babycli -n '__babycli_at 0 data' -a croissant -d 'Write the linked dataset, its files and their SHA-256, as Croissant metadata (JSON-LD).'
complete -c babycli -n '__babycli_at 0 data' -a extract -d 'Unpack a zip, checked and in parallel; interrupted, the same command goes on.'
complete -c babycli -n '__babycli_at 0 data' -a subset -d 'Copy just the images that tasks read, with labels, links and checksums: a dataset folder for a cluster.'
complete -c babycli -n '__babycli_at 0 data' -a overlap -d 'Find the trials whose pictures are in a training set, by bytes, name, recording or look.'
complete -c babycli -n '__babycli_at 0 data' -a unlink -d 'Remove the links from the dataset folder. Images, label files and real folders stay.'
complete -c babycli -n '__babycli_at 0 data' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ data labels' -l from -r -f -a '(__babycli_value_folder)' -d 'Take the label files from this folder instead of the network.'
complete -c babycli -n '__babycli_at 0+ data labels' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data labels' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data labels' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 data link' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ data link' -l labeled-s -r -F -a '(__babycli_value_file)' -d 'Folder or zip of Labeled-S images, if not inside SAYCAM.'
complete -c babycli -n '__babycli_at 0+ data link' -l synthetic -r -F -a '(__babycli_value_file)' -d 'Folder or zip of synthetic images.'
complete -c babycli -n '__babycli_at 0+ data link' -l source -r -f -a '(__babycli_value_source)' -d 'Folder or zip of any other source; may be repeated.'
complete -c babycli -n '__babycli_at 0+ data link' -l devcv -r -f -a '(__babycli_value_set)' -d 'Folder, zip or label file of a set of DevCV: labels and pictures; may be repeated.'
complete -c babycli -n '__babycli_at 0+ data link' -l devcv-images -r -f -a '(__babycli_value_set)' -d 'Folder or zip of a set\'s pictures, if apart from its labels.'
complete -c babycli -n '__babycli_at 0+ data link' -l split -r -f -a '(__babycli_value_text)' -d 'The split of --devcv; default test.'
complete -c babycli -n '__babycli_at 0+ data link' -l machine-devbench -r -F -a '(__babycli_value_file)' -d 'Folder or zip of Machine-DevBench, with Lexical and Grammatical in it.'
complete -c babycli -n '__babycli_at 0+ data link' -l from -r -f -a '(__babycli_value_folder)' -d 'Take the label files from this folder instead of the network.'
complete -c babycli -n '__babycli_at 0+ data link' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data link' -l allow-missing -d 'Link even where images are missing.'
complete -c babycli -n '__babycli_at 0+ data link' -l mode -r -f -a '(__babycli_value_mode)' -d 'Link to the images, or put them into the dataset folder.'
complete -c babycli -n '__babycli_at 0+ data link' -l relative -d 'Make symlinks relative to their own folder.'
complete -c babycli -n '__babycli_at 0+ data link' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data link' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ data status' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data status' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data status' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ data status' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data status' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 data verify' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ data verify' -l depth -r -f -a '(__babycli_value_depth)' -d 'How closely to look; default checksum where checksums are known, else header.'
complete -c babycli -n '__babycli_at 0+ data verify' -l manifest -r -F -a '(__babycli_value_file)' -d 'Checksums of all files of a download, as sha256sum, b3sum or BagIt write them.'
complete -c babycli -n '__babycli_at 0+ data verify' -l full -d 'Read files again that have not changed since.'
complete -c babycli -n '__babycli_at 0+ data verify' -l no-index -d 'Neither use nor keep the findings of verify.'
complete -c babycli -n '__babycli_at 0+ data verify' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data verify' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data verify' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ data verify' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data verify' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 data manifest' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ data manifest' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Where to write.'
complete -c babycli -n '__babycli_at 0+ data manifest' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ data croissant' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data croissant' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data croissant' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write to a file.'
complete -c babycli -n '__babycli_at 0+ data croissant' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data croissant' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 data extract' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 1 data extract' -f -a '(__babycli_value_folder)'
complete -c babycli -n '__babycli_at 0+ data extract' -l only-needed -d 'Only the images that tasks read.'
complete -c babycli -n '__babycli_at 0+ data extract' -l from -r -f -a '(__babycli_value_folder)' -d 'Take the label files from this folder instead of the network.'
complete -c babycli -n '__babycli_at 0+ data extract' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data extract' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data extract' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data extract' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 data subset' -f -a '(__babycli_value_folder)'
complete -c babycli -n '__babycli_at 0+ data subset' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data subset' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data subset' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data subset' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ data overlap' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ data overlap' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l images -r -F -a '(__babycli_value_file)' -d 'Folder or zip in which the pictures lie that a list or JSON names; default: names alone.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l level -r -f -a '(__babycli_value_level)' -d 'Look at these levels alone, A,B; default all that can be told.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l within -r -f -a '(__babycli_value_text)' -d 'Seconds between two frames of one utterance, at most.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l distance -r -f -a '(__babycli_value_text)' -d 'Bits of 256 in which the hashes of pictures that are alike may differ; default 40.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write all trials to a file, for `report --overlap`.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data overlap' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ data unlink' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Only the data of these tasks; default all.'
complete -c babycli -n '__babycli_at 0+ data unlink' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ data unlink' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ data unlink' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ eval' -l model -s m -r -F -a '(__babycli_value_model)' -d 'Checkpoint, hub id[@revision], family, file.py:Class or control; several, as runs/*, are evaluated one after the other. Default wsashawn/babyllava_resnext_gpt2.'
complete -c babycli -n '__babycli_at 0+ eval' -l model-args -r -f -a '(__babycli_value_argument)' -d 'Arguments of the model family, as babycli models lists them.'
complete -c babycli -n '__babycli_at 0+ eval' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Tasks, benchmarks or file.py:TASK, between commas or spaces; default all.'
complete -c babycli -n '__babycli_at 0+ eval' -l trials -r -F -a '(__babycli_value_file)' -d 'Trials of your own, one on each line of a .jsonl file; these alone, unless --tasks is given, too.'
complete -c babycli -n '__babycli_at 0+ eval' -l images -r -F -a '(__babycli_value_file)' -d 'Folder or zip of their pictures; default the file\'s own folder.'
complete -c babycli -n '__babycli_at 0+ eval' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ eval' -l limit -s l -r -f -a '(__babycli_value_text)' -d 'Only the first N trials of each task.'
complete -c babycli -n '__babycli_at 0+ eval' -l sample -r -f -a '(__babycli_value_text)' -d 'N trials of each task, even over its groups.'
complete -c babycli -n '__babycli_at 0+ eval' -l seed -r -f -a '(__babycli_value_text)' -d 'Of --sample; default 0.'
complete -c babycli -n '__babycli_at 0+ eval' -l control -r -f -a '(__babycli_value_control)' -d 'Run a control: without images, with other images, or with the same score for everything.'
complete -c babycli -n '__babycli_at 0+ eval' -l prompt -r -f -a '(__babycli_value_asked_task)' -d 'Ask this, for one task or all, instead of the family\'s prompt; <image> says where the image goes.'
complete -c babycli -n '__babycli_at 0+ eval' -l scoring -r -f -a '(__babycli_value_scoring)' -d 'babycli\'s own way, or exactly the original code\'s.'
complete -c babycli -n '__babycli_at 0+ eval' -l answers -r -f -a '(__babycli_value_answer)' -d 'Where answers are of a closed set: what the model writes, or which it finds likeliest, or both.'
complete -c babycli -n '__babycli_at 0+ eval' -l history -r -f -a '(__babycli_value_history)' -d 'Whether a conversation goes on with the model\'s own answers, or with the right ones.'
complete -c babycli -n '__babycli_at 0+ eval' -l max-new-tokens -r -f -a '(__babycli_value_text)' -d 'Of each text; default what the task says.'
complete -c babycli -n '__babycli_at 0+ eval' -l batch-size -s b -r -f -a '(__babycli_value_batch_size)' -d 'Images per batch; auto: as many as there is room for.'
complete -c babycli -n '__babycli_at 0+ eval' -l device -r -f -a '(__babycli_value_device)' -d 'cpu, cuda or cuda:N; default the GPU if there is one.'
complete -c babycli -n '__babycli_at 0+ eval' -l dtype -r -f -a '(__babycli_value_precision)' -d 'float32, bfloat16, or float16 on a GPU; default float32, or what a wrapper\'s own code chooses.'
complete -c babycli -n '__babycli_at 0+ eval' -l batch-check -r -f -a '(__babycli_value_text)' -d 'Score N trials of each task again one by one; default 16 in half precision, else 0.'
complete -c babycli -n '__babycli_at 0+ eval' -l prefix-reuse -d 'Read image and prompt once for all texts behind them, if possible.'
complete -c babycli -n '__babycli_at 0+ eval' -l no-prefix-reuse -d 'Not: Read image and prompt once for all texts behind them, if possible.'
complete -c babycli -n '__babycli_at 0+ eval' -l feature-reuse -d 'With several checkpoints: reuse the vision tower\'s output where the towers are the same.'
complete -c babycli -n '__babycli_at 0+ eval' -l no-feature-reuse -d 'Not: With several checkpoints: reuse the vision tower\'s output where the towers are the same.'
complete -c babycli -n '__babycli_at 0+ eval' -l cache -r -f -a '(__babycli_value_folder)' -d 'Take the scores of earlier runs from this folder, and add new ones to it.'
complete -c babycli -n '__babycli_at 0+ eval' -l send-pictures-to -r -f -a '(__babycli_value_text)' -d 'Let a server on this other machine see the pictures; your data agreement says who may.'
complete -c babycli -n '__babycli_at 0+ eval' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ eval' -l skip-missing -d 'Leave out trials of which an image is missing, and say so.'
complete -c babycli -n '__babycli_at 0+ eval' -l output-path -s o -r -f -a '(__babycli_value_folder)' -d 'Where the logs go.'
complete -c babycli -n '__babycli_at 0+ eval' -l name -r -f -a '(__babycli_value_text)' -d 'Call the run so in reports.'
complete -c babycli -n '__babycli_at 0+ eval' -l resume -d 'Go on with an unfinished run of the same model and tasks.'
complete -c babycli -n '__babycli_at 0+ eval' -l no-resume -d 'Not: Go on with an unfinished run of the same model and tasks.'
complete -c babycli -n '__babycli_at 0+ eval' -l rerun -d 'Evaluate again what is evaluated already.'
complete -c babycli -n '__babycli_at 0+ eval' -l profile -d 'Show where the time went.'
complete -c babycli -n '__babycli_at 0+ eval' -l dry-run -d 'Only say what would be computed.'
complete -c babycli -n '__babycli_at 0+ eval' -l estimate -d 'With that, compute a few batches to tell the time.'
complete -c babycli -n '__babycli_at 0+ eval' -l save -r -F -a '(__babycli_value_file)' -d 'With --dry-run: write this as a sweep file.'
complete -c babycli -n '__babycli_at 0+ eval' -l json -d 'With --dry-run: write JSON for a program.'
complete -c babycli -n '__babycli_at 0+ eval' -l config -r -F -a '(__babycli_value_file)' -d 'Make the runs of a sweep file (TOML).'
complete -c babycli -n '__babycli_at 0+ eval' -l watch -d 'Evaluate checkpoints as they appear, each when it is whole.'
complete -c babycli -n '__babycli_at 0+ eval' -l watch-for -r -f -a '(__babycli_value_text)' -d 'With --watch: end after 90s, 30m or 2h without a new one.'
complete -c babycli -n '__babycli_at 0+ eval' -l watch-settle -r -f -a '(__babycli_value_text)' -d 'With --watch: leave a checkpoint alone until nothing has changed for so long; default 2s, or 30s where no file tells the end.'
complete -c babycli -n '__babycli_at 0+ eval' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ report' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ report' -l models -r -f -a '(__babycli_value_evaluated_models)' -d 'Show these rows, in this order; * is any text.'
complete -c babycli -n '__babycli_at 0+ report' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Show these tasks, in this order; FILE:TASK is one of your own.'
complete -c babycli -n '__babycli_at 0+ report' -l metrics -r -f -a '(__babycli_value_metric)' -d 'Show these metrics; default all.'
complete -c babycli -n '__babycli_at 0+ report' -l rename -r -F -a '(__babycli_value_file)' -d 'Call a model so; or a file of such lines. May be repeated.'
complete -c babycli -n '__babycli_at 0+ report' -l baselines -r -f -a '(__babycli_value_baselines)' -d 'Add published rows, marked as such.'
complete -c babycli -n '__babycli_at 0+ report' -l humans -r -F -a '(__babycli_value_file)' -d 'Hold models against what people chose: a CSV of trial, option, share, n, age.'
complete -c babycli -n '__babycli_at 0+ report' -l no-controls -d 'Leave out the rows of controls.'
complete -c babycli -n '__babycli_at 0+ report' -l all-runs -d 'Show all of equal runs, and parts of whole ones.'
complete -c babycli -n '__babycli_at 0+ report' -l overlap -r -F -a '(__babycli_value_file)' -d 'The list of `data overlap -o`, with --by overlap or --only: which trials are leaked.'
complete -c babycli -n '__babycli_at 0+ report' -l only -r -f -a '(__babycli_value_only)' -d 'With --overlap: leave the other trials out of all numbers.'
complete -c babycli -n '__babycli_at 0+ report' -l level -r -f -a '(__babycli_value_level)' -d 'With --overlap: which levels, A,B, count as leaked; default sha256,name,within,near.'
complete -c babycli -n '__babycli_at 0+ report' -l notes -d 'Say all about the numbers below a table.'
complete -c babycli -n '__babycli_at 0+ report' -l compare -r -F -a '(__babycli_value_compared_run)' -d 'Differences between these models on the same items: interval, test, smallest difference seen.'
complete -c babycli -n '__babycli_at 0+ report' -l by -r -f -a '(__babycli_value_kind)' -d 'Break scores down by group; tasks of your own may have other kinds.'
complete -c babycli -n '__babycli_at 0+ report' -l seeds -d 'Gather models whose names differ in seed-N alone: mean and standard deviation.'
complete -c babycli -n '__babycli_at 0+ report' -l items -d 'Show items; with --compare, those only one got right.'
complete -c babycli -n '__babycli_at 0+ report' -l wrong -d 'Show the items that each model got wrong.'
complete -c babycli -n '__babycli_at 0+ report' -l with-images -d 'With html, and --items or --wrong: show the images of the items.'
complete -c babycli -n '__babycli_at 0+ report' -l audit -d 'Look for what makes numbers untrustworthy; exit code 7 if there is any.'
complete -c babycli -n '__babycli_at 0+ report' -l format -r -f -a '(__babycli_value_format)' -d 'How to write it; default: as --output ends, else a table.'
complete -c babycli -n '__babycli_at 0+ report' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write to a file instead of the screen.'
complete -c babycli -n '__babycli_at 0+ report' -l plot -r -F -a '(__babycli_value_file)' -d 'Also draw it, as .pdf, .svg or .png.'
complete -c babycli -n '__babycli_at 0+ report' -l model -s m -r -f -a '(__babycli_value_evaluated_model)' -d 'Which model the forms of one model (hf, eee, egobabyvlm) write, as the table calls it.'
complete -c babycli -n '__babycli_at 0+ report' -l hub-dataset -r -f -a '(__babycli_value_text)' -d 'With --format hf: write results of this benchmark of the hub.'
complete -c babycli -n '__babycli_at 0+ report' -l entry -r -f -a '(__babycli_value_entry)' -d 'With --format egobabyvlm: a field of the board\'s entry, as team or training_data.'
complete -c babycli -n '__babycli_at 0+ report' -l to -r -f -a '(__babycli_value_tracker)' -d 'Also send the numbers to wandb:PROJECT or mlflow:EXPERIMENT.'
complete -c babycli -n '__babycli_at 0+ report' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ report' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 runs' -a show -d 'Show a run: what was evaluated, how, with which files and software.'
complete -c babycli -n '__babycli_at 0 runs' -a delete -d 'Delete runs, after a question. Files that babycli did not write stay.'
complete -c babycli -n '__babycli_at 0 runs' -a rename -d 'Give a run another name in reports; its folder stays.'
complete -c babycli -n '__babycli_at 0 runs' -l logs -r -f -a '(__babycli_value_folder)' -d 'The folder of the runs.'
complete -c babycli -n '__babycli_at 0 runs' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0 runs' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 runs show' -F -a '(__babycli_value_run)'
complete -c babycli -n '__babycli_at 0+ runs show' -l logs -r -f -a '(__babycli_value_folder)' -d 'The folder of the runs.'
complete -c babycli -n '__babycli_at 0+ runs show' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ runs show' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ runs delete' -F -a '(__babycli_value_run)'
complete -c babycli -n '__babycli_at 0+ runs delete' -l yes -d 'Do not ask.'
complete -c babycli -n '__babycli_at 0+ runs delete' -l logs -r -f -a '(__babycli_value_folder)' -d 'The folder of the runs.'
complete -c babycli -n '__babycli_at 0+ runs delete' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 runs rename' -F -a '(__babycli_value_run)'
complete -c babycli -n '__babycli_at 1 runs rename' -f -a '(__babycli_value_text)'
complete -c babycli -n '__babycli_at 0+ runs rename' -l logs -r -f -a '(__babycli_value_folder)' -d 'The folder of the runs.'
complete -c babycli -n '__babycli_at 0+ runs rename' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 trials' -a check -d 'Check a file of trials: its lines, its pictures, its right answers, and what a model gets without looking.'
complete -c babycli -n '__babycli_at 0 trials' -a from-csv -d 'Make trials out of a table: a picture, options between |, and the right one.'
complete -c babycli -n '__babycli_at 0 trials' -a from-levante -d 'Make trials out of LEVANTE\'s trial lines: its prompts with their pictures, its labels as options.'
complete -c babycli -n '__babycli_at 0 trials' -a from-devbench -d 'Make trials out of a manifest of DevBench: one text and several pictures, or two of each.'
complete -c babycli -n '__babycli_at 0 trials' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 trials check' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ trials check' -l images -r -F -a '(__babycli_value_file)' -d 'Folder or zip of the pictures; default the file\'s own folder.'
complete -c babycli -n '__babycli_at 0+ trials check' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ trials check' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 trials from-csv' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ trials from-csv' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write to a file.'
complete -c babycli -n '__babycli_at 0+ trials from-csv' -l images -r -F -a '(__babycli_value_file)' -d 'Folder or zip of the pictures; default the file\'s own folder.'
complete -c babycli -n '__babycli_at 0+ trials from-csv' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 trials from-levante' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ trials from-levante' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write to a file.'
complete -c babycli -n '__babycli_at 0+ trials from-levante' -l images -r -F -a '(__babycli_value_file)' -d 'Folder or zip of the pictures; default the file\'s own folder.'
complete -c babycli -n '__babycli_at 0+ trials from-levante' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 trials from-devbench' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ trials from-devbench' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write to a file.'
complete -c babycli -n '__babycli_at 0+ trials from-devbench' -l images -r -F -a '(__babycli_value_file)' -d 'Folder or zip of the pictures; default the file\'s own folder.'
complete -c babycli -n '__babycli_at 0+ trials from-devbench' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 cite' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ cite' -l output -s o -r -F -a '(__babycli_value_file)' -d 'Write to a file.'
complete -c babycli -n '__babycli_at 0+ cite' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ tasks' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ tasks' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 models' -a show -d 'Show a model\'s architecture, size, precision and what each task asks it, without reading its weights.'
complete -c babycli -n '__babycli_at 0 models' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0 models' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 models show' -F -a '(__babycli_value_model)'
complete -c babycli -n '__babycli_at 0+ models show' -l model-args -r -f -a '(__babycli_value_argument)' -d 'Arguments of the model family, as babycli models lists them.'
complete -c babycli -n '__babycli_at 0+ models show' -l dtype -r -f -a '(__babycli_value_precision)' -d 'As for babycli eval.'
complete -c babycli -n '__babycli_at 0+ models show' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ models show' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 demo' -f -a '(__babycli_value_folder)'
complete -c babycli -n '__babycli_at 0+ demo' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0+ doctor' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 bridge' -a lmms -d 'Write the tasks for upstream lmms-eval: YAML, documents and functions; the data are checked first.'
complete -c babycli -n '__babycli_at 0 bridge' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 bridge lmms' -f -a '(__babycli_value_folder)'
complete -c babycli -n '__babycli_at 0+ bridge lmms' -l tasks -s t -r -F -a '(__babycli_value_task)' -d 'Tasks; default all.'
complete -c babycli -n '__babycli_at 0+ bridge lmms' -l sign -r -f -a '(__babycli_value_sign)' -d 'What the model\'s loglikelihood returns in lmms-eval; loss for those of the LLaVA kind.'
complete -c babycli -n '__babycli_at 0+ bridge lmms' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ bridge lmms' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 submission' -a write -d 'Write submission.json and model.py, and check them: the wrapper beside babycli\'s own path, on the demo\'s data.'
complete -c babycli -n '__babycli_at 0 submission' -a check -d 'Check a model.py: sign of the loss, order of pictures, history, errors turned into replies. It runs its code.'
complete -c babycli -n '__babycli_at 0 submission' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 submission write' -f -a '(__babycli_value_folder)'
complete -c babycli -n '__babycli_at 0+ submission write' -l model -s m -r -F -a '(__babycli_value_model)' -d 'As for babycli eval.'
complete -c babycli -n '__babycli_at 0+ submission write' -l model-args -r -f -a '(__babycli_value_argument)' -d 'Arguments of the model family, as babycli models lists them.'
complete -c babycli -n '__babycli_at 0+ submission write' -l name -r -f -a '(__babycli_value_text)' -d 'On the leaderboard; default the model\'s.'
complete -c babycli -n '__babycli_at 0+ submission write' -l checkpoint -r -f -a '(__babycli_value_text)' -d 'From where the organizers fetch the weights; default --model, if that is a hub id.'
complete -c babycli -n '__babycli_at 0+ submission write' -l device -r -f -a '(__babycli_value_device)' -d 'cpu, cuda or cuda:N; default the GPU if there is one.'
complete -c babycli -n '__babycli_at 0+ submission write' -l dtype -r -f -a '(__babycli_value_precision)' -d 'float32, float16, bfloat16'
complete -c babycli -n '__babycli_at 0+ submission write' -l limit -s l -r -f -a '(__babycli_value_text)' -d 'Items of each task to compare on.'
complete -c babycli -n '__babycli_at 0+ submission write' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ submission write' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ submission write' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ submission write' -l help -d 'Show this message and exit.'
complete -c babycli -n '__babycli_at 0 submission check' -F -a '(__babycli_value_file)'
complete -c babycli -n '__babycli_at 0+ submission check' -l model-args -r -f -a '(__babycli_value_argument)' -d 'Arguments of its constructor.'
complete -c babycli -n '__babycli_at 0+ submission check' -l model -s m -r -F -a '(__babycli_value_model)' -d 'A model of babycli that it must agree with, on the demo\'s data or --data.'
complete -c babycli -n '__babycli_at 0+ submission check' -l device -r -f -a '(__babycli_value_device)' -d 'cpu, cuda or cuda:N; default the GPU if there is one.'
complete -c babycli -n '__babycli_at 0+ submission check' -l dtype -r -f -a '(__babycli_value_precision)' -d 'float32, float16, bfloat16'
complete -c babycli -n '__babycli_at 0+ submission check' -l limit -s l -r -f -a '(__babycli_value_text)' -d 'Items of each task to compare on.'
complete -c babycli -n '__babycli_at 0+ submission check' -l data -s d -r -f -a '(__babycli_value_folder)' -d 'Dataset folder; default $BABYCLI_DATA, else ./dataset.'
complete -c babycli -n '__babycli_at 0+ submission check' -l set -r -f -a '(__babycli_value_linked_set)' -d 'The sets of data of DevCV tasks, as they were linked; default all that are linked.'
complete -c babycli -n '__babycli_at 0+ submission check' -l json -d 'Write JSON for a program instead of text.'
complete -c babycli -n '__babycli_at 0+ submission check' -l help -d 'Show this message and exit.'
