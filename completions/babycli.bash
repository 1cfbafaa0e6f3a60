# What bash completes behind babycli. Made by tools/build_completions.py; starts no Python.

_babycli() {
    local IFS=$' \t\n' words=() cur= typed= before= command=babycli option= value= lead=
    local data=${BABYCLI_DATA:-dataset} logs=logs n_arguments=0 commands= options= valued= arguments=() more=
    COMPREPLY=()
    _babycli_read_words
    _babycli_facts "$command"
    local i word
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        case $word in
        --*=*) _babycli_note "${word%%=*}" "${word#*=}"; option= ;;
        -*) option=; [[ " $valued " == *" $word "* ]] && option=$word ;;
        *)
            if [[ $option ]]; then
                _babycli_note "$option" "$word"
                [[ $option == --compare ]] || option=
            elif [[ " $commands " == *" $word "* ]]; then
                command+=" $word"
                _babycli_facts "$command"
            else
                ((n_arguments += 1))
                [[ $command == 'babycli report' ]] && logs=$word
            fi ;;
        esac
    done
    value=$cur
    case $option,$cur in
    ,--*=*) option=${cur%%=*}; value=${cur#*=}; lead=$option=; _babycli_value "$command $option" ;;
    ,-*|--compare,-*) _babycli_values '' $options ;;
    ,*)
        [[ $commands ]] && _babycli_values '' $commands
        if ((n_arguments < ${#arguments[@]})); then
            _babycli_value_${arguments[n_arguments]}
        elif [[ $more ]]; then
            _babycli_value_${arguments[${#arguments[@]} - 1]}
        fi ;;
    *) _babycli_value "$command $option" ;;
    esac
}

# Reads the words before the cursor. Bash has cut them at = and :, and replaces only what is behind the last of these.
_babycli_read_words() {
    local i word is_open=
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i -gt 0 && ( $is_open || $word == [=:]* ) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        is_open=
        [[ $word == [=:] ]] && is_open=1
    done
    cur=${words[${#words[@]} - 1]}
    typed=${COMP_WORDS[COMP_CWORD]}
    [[ $typed == [=:]* ]] && typed=
    before=${cur%"$typed"}
}

# Notes where data and logs are: the value of an option, without quotes.
_babycli_note() {
    local place=${2//[\"\'\\]/}
    case $1 in
    --data|-d) data=${place/#\~\//$HOME/} ;;
    --logs) logs=${place/#\~\//$HOME/} ;;
    esac
}

# Offers words and what is found. $1 says how: list (commas between them), name (NAME=FILE), quiet (files only where no
# word fits), and what is to be found: files, folders, sets, hub, models, runs.
_babycli_values() {
    local how=" $1 " head= part=$value word found=()
    shift
    if [[ $how == *' list '* && $value == *,* ]]; then
        head=${value%,*},
        part=${value##*,}
    fi
    if [[ $how == *' name '* && $part == *=* ]]; then
        [[ $how == *' files '* ]] && _babycli_files default
        return
    fi
    [[ $how == *' sets '* ]] && _babycli_find_sets
    [[ $how == *' hub '* ]] && _babycli_find_hub
    [[ $how == *' models '* ]] && _babycli_find_models
    [[ $how == *' runs '* ]] && _babycli_find_runs
    for word in "$@" ${found[@]+"${found[@]}"}; do
        if [[ $word == "$part"* && ",$head" != *",$word,"* ]]; then
            word=$lead$head$word
            COMPREPLY+=("${word#"$before"}")
        fi
    done
    if [[ $how == *' list '* || ${COMPREPLY[0]-} == *[=:] ]] && type compopt &>/dev/null; then
        compopt -o nospace
    fi
    if [[ $how == *' folders '* ]]; then
        _babycli_files dirnames
    elif [[ $how == *' files '* || ( $how == *' quiet '* && ${#COMPREPLY[@]} -eq 0 ) ]]; then
        _babycli_files default
    fi
}

# Lets readline complete files, which knows how to quote them; beside words they are added to these.
_babycli_files() {
    local IFS=$'\n' name
    type compopt &>/dev/null || return
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt +o nospace -o "$1"
    elif [[ $how != *' name '* ]]; then
        compopt -o filenames
        while read -r name; do
            [[ $typed || $name != .* ]] && COMPREPLY+=("$name")
        done < <(compgen -f -- "$typed")
    fi
}

_babycli_find_sets() {
    local place
    for place in "$data"/devcv/*/; do
        place=${place%/}
        [[ -d $place ]] && found+=("${place##*/}")
    done
}

_babycli_find_hub() {
    local place name
    for place in "${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}"/models--*/; do
        name=${place%/}
        name=${name##*/models--}
        [[ -d $place ]] && found+=("${name/--//}")
    done
}

_babycli_find_models() {
    local place name last=
    for place in "$logs"/*/*/run.json; do
        [[ -f $place ]] || continue
        name=${place%/*/run.json}
        [[ $name == "$last" ]] && continue
        last=$name
        name=${name##*/}
        printf -v name %q "${name/__//}"
        found+=("$name")
    done
    while IFS= read -r name; do
        printf -v name %q "$name"
        found+=("$name")
    done < <(sed -n 's/^  "name": "\([^"\\]\{1,\}\)",\{0,1\}$/\1/p' "$logs"/*/*/run.json 2>/dev/null | sort -u)
}

_babycli_find_runs() {
    local place name
    for place in "$logs"/*/*/run.json; do
        [[ -f $place ]] || continue
        name=${place#"$logs"/}
        printf -v name %q "${name%/run.json}"
        found+=("$name")
    done
}

_babycli_facts() {
    commands= options= valued= arguments=() more=
    case $1 in
    babycli)
        commands='data eval report runs trials cite tasks models demo doctor bridge submission'
        options='--version --install-completion --show-completion -h --help'
        valued=''
        arguments=()
        more= ;;
    'babycli data')
        commands='labels link status verify manifest croissant extract subset overlap unlink'
        options=--help
        valued=''
        arguments=()
        more= ;;
    'babycli data labels')
        commands=''
        options='--from --tasks -t --data -d --help'
        valued='--from --tasks -t --data -d'
        arguments=()
        more= ;;
    'babycli data link')
        commands=''
        options='--labeled-s --synthetic --source --devcv --devcv-images --split --machine-devbench --from --tasks -t --allow-missing --mode --relative --data -d --help'
        valued='--labeled-s --synthetic --source --devcv --devcv-images --split --machine-devbench --from --tasks -t --mode --data -d'
        arguments=(file)
        more= ;;
    'babycli data status')
        commands=''
        options='--tasks -t --set --json --data -d --help'
        valued='--tasks -t --set --data -d'
        arguments=()
        more= ;;
    'babycli data verify')
        commands=''
        options='--depth --manifest --full --no-index --tasks -t --set --json --data -d --help'
        valued='--depth --manifest --tasks -t --set --data -d'
        arguments=(file)
        more= ;;
    'babycli data manifest')
        commands=''
        options='--output -o --help'
        valued='--output -o'
        arguments=(file)
        more= ;;
    'babycli data croissant')
        commands=''
        options='--tasks -t --set --output -o --data -d --help'
        valued='--tasks -t --set --output -o --data -d'
        arguments=()
        more= ;;
    'babycli data extract')
        commands=''
        options='--only-needed --from --tasks -t --set --data -d --help'
        valued='--from --tasks -t --set --data -d'
        arguments=(file folder)
        more= ;;
    'babycli data subset')
        commands=''
        options='--tasks -t --set --data -d --help'
        valued='--tasks -t --set --data -d'
        arguments=(folder)
        more= ;;
    'babycli data overlap')
        commands=''
        options='--tasks -t --set --images --level --within --distance --json --output -o --data -d --help'
        valued='--tasks -t --set --images --level --within --distance --output -o --data -d'
        arguments=(file)
        more=1 ;;
    'babycli data unlink')
        commands=''
        options='--tasks -t --set --data -d --help'
        valued='--tasks -t --set --data -d'
        arguments=()
        more= ;;
    'babycli eval')
        commands=''
        options='--model -m --model-args --tasks -t --trials --images --set --limit -l --sample --seed --control --prompt --scoring --answers --history --max-new-tokens --batch-size -b --device --dtype --batch-check --prefix-reuse --no-prefix-reuse --feature-reuse --no-feature-reuse --cache --send-pictures-to --data -d --skip-missing --output-path -o --name --resume --no-resume --rerun --profile --dry-run --estimate --save --json --config --watch --watch-for --watch-settle --help'
        valued='--model -m --model-args --tasks -t --trials --images --set --limit -l --sample --seed --control --prompt --scoring --answers --history --max-new-tokens --batch-size -b --device --dtype --batch-check --cache --send-pictures-to --data -d --output-path -o --name --save --config --watch-for --watch-settle'
        arguments=()
        more= ;;
    'babycli report')
        commands=''
        options='--models --tasks -t --metrics --rename --baselines --humans --no-controls --all-runs --overlap --only --level --notes --compare --by --seeds --items --wrong --with-images --audit --format --output -o --plot --model -m --hub-dataset --entry --to --data -d --help'
        valued='--models --tasks -t --metrics --rename --baselines --humans --overlap --only --level --compare --by --format --output -o --plot --model -m --hub-dataset --entry --to --data -d'
        arguments=(file)
        more=1 ;;
    'babycli runs')
        commands='show delete rename'
        options='--logs --json --help'
        valued=--logs
        arguments=()
        more= ;;
    'babycli runs show')
        commands=''
        options='--logs --json --help'
        valued=--logs
        arguments=(run)
        more= ;;
    'babycli runs delete')
        commands=''
        options='--yes --logs --help'
        valued=--logs
        arguments=(run)
        more=1 ;;
    'babycli runs rename')
        commands=''
        options='--logs --help'
        valued=--logs
        arguments=(run text)
        more= ;;
    'babycli trials')
        commands='check from-csv from-levante from-devbench'
        options=--help
        valued=''
        arguments=()
        more= ;;
    'babycli trials check')
        commands=''
        options='--images --json --help'
        valued=--images
        arguments=(file)
        more= ;;
    'babycli trials from-csv')
        commands=''
        options='--output -o --images --help'
        valued='--output -o --images'
        arguments=(file)
        more= ;;
    'babycli trials from-levante')
        commands=''
        options='--output -o --images --help'
        valued='--output -o --images'
        arguments=(file)
        more= ;;
    'babycli trials from-devbench')
        commands=''
        options='--output -o --images --help'
        valued='--output -o --images'
        arguments=(file)
        more= ;;
    'babycli cite')
        commands=''
        options='--output -o --help'
        valued='--output -o'
        arguments=(file)
        more= ;;
    'babycli tasks')
        commands=''
        options='--json --help'
        valued=''
        arguments=()
        more= ;;
    'babycli models')
        commands=show
        options='--json --help'
        valued=''
        arguments=()
        more= ;;
    'babycli models show')
        commands=''
        options='--model-args --dtype --json --help'
        valued='--model-args --dtype'
        arguments=(model)
        more= ;;
    'babycli demo')
        commands=''
        options=--help
        valued=''
        arguments=(folder)
        more= ;;
    'babycli doctor')
        commands=''
        options=--help
        valued=''
        arguments=()
        more= ;;
    'babycli bridge')
        commands=lmms
        options=--help
        valued=''
        arguments=()
        more= ;;
    'babycli bridge lmms')
        commands=''
        options='--tasks -t --sign --data -d --help'
        valued='--tasks -t --sign --data -d'
        arguments=(folder)
        more= ;;
    'babycli submission')
        commands='write check'
        options=--help
        valued=''
        arguments=()
        more= ;;
    'babycli submission write')
        commands=''
        options='--model -m --model-args --name --checkpoint --device --dtype --limit -l --data -d --set --json --help'
        valued='--model -m --model-args --name --checkpoint --device --dtype --limit -l --data -d --set'
        arguments=(folder)
        more= ;;
    'babycli submission check')
        commands=''
        options='--model-args --model -m --device --dtype --limit -l --data -d --set --json --help'
        valued='--model-args --model -m --device --dtype --limit -l --data -d --set'
        arguments=(file)
        more= ;;
    esac
}

_babycli_value() {
    case $1 in
    'babycli data labels --from') _babycli_value_folder ;;
    'babycli data labels --tasks'|'babycli data labels -t') _babycli_value_task ;;
    'babycli data labels --data'|'babycli data labels -d') _babycli_value_folder ;;
    'babycli data link --labeled-s') _babycli_value_file ;;
    'babycli data link --synthetic') _babycli_value_file ;;
    'babycli data link --source') _babycli_value_source ;;
    'babycli data link --devcv') _babycli_value_set ;;
    'babycli data link --devcv-images') _babycli_value_set ;;
    'babycli data link --split') _babycli_value_text ;;
    'babycli data link --machine-devbench') _babycli_value_file ;;
    'babycli data link --from') _babycli_value_folder ;;
    'babycli data link --tasks'|'babycli data link -t') _babycli_value_task ;;
    'babycli data link --mode') _babycli_value_mode ;;
    'babycli data link --data'|'babycli data link -d') _babycli_value_folder ;;
    'babycli data status --tasks'|'babycli data status -t') _babycli_value_task ;;
    'babycli data status --set') _babycli_value_linked_set ;;
    'babycli data status --data'|'babycli data status -d') _babycli_value_folder ;;
    'babycli data verify --depth') _babycli_value_depth ;;
    'babycli data verify --manifest') _babycli_value_file ;;
    'babycli data verify --tasks'|'babycli data verify -t') _babycli_value_task ;;
    'babycli data verify --set') _babycli_value_linked_set ;;
    'babycli data verify --data'|'babycli data verify -d') _babycli_value_folder ;;
    'babycli data manifest --output'|'babycli data manifest -o') _babycli_value_file ;;
    'babycli data croissant --tasks'|'babycli data croissant -t') _babycli_value_task ;;
    'babycli data croissant --set') _babycli_value_linked_set ;;
    'babycli data croissant --output'|'babycli data croissant -o') _babycli_value_file ;;
    'babycli data croissant --data'|'babycli data croissant -d') _babycli_value_folder ;;
    'babycli data extract --from') _babycli_value_folder ;;
    'babycli data extract --tasks'|'babycli data extract -t') _babycli_value_task ;;
    'babycli data extract --set') _babycli_value_linked_set ;;
    'babycli data extract --data'|'babycli data extract -d') _babycli_value_folder ;;
    'babycli data subset --tasks'|'babycli data subset -t') _babycli_value_task ;;
    'babycli data subset --set') _babycli_value_linked_set ;;
    'babycli data subset --data'|'babycli data subset -d') _babycli_value_folder ;;
    'babycli data overlap --tasks'|'babycli data overlap -t') _babycli_value_task ;;
    'babycli data overlap --set') _babycli_value_linked_set ;;
    'babycli data overlap --images') _babycli_value_file ;;
    'babycli data overlap --level') _babycli_value_level ;;
    'babycli data overlap --within') _babycli_value_text ;;
    'babycli data overlap --distance') _babycli_value_text ;;
    'babycli data overlap --output'|'babycli data overlap -o') _babycli_value_file ;;
    'babycli data overlap --data'|'babycli data overlap -d') _babycli_value_folder ;;
    'babycli data unlink --tasks'|'babycli data unlink -t') _babycli_value_task ;;
    'babycli data unlink --set') _babycli_value_linked_set ;;
    'babycli data unlink --data'|'babycli data unlink -d') _babycli_value_folder ;;
    'babycli eval --model'|'babycli eval -m') _babycli_value_model ;;
    'babycli eval --model-args') _babycli_value_argument ;;
    'babycli eval --tasks'|'babycli eval -t') _babycli_value_task ;;
    'babycli eval --trials') _babycli_value_file ;;
    'babycli eval --images') _babycli_value_file ;;
    'babycli eval --set') _babycli_value_linked_set ;;
    'babycli eval --limit'|'babycli eval -l') _babycli_value_text ;;
    'babycli eval --sample') _babycli_value_text ;;
    'babycli eval --seed') _babycli_value_text ;;
    'babycli eval --control') _babycli_value_control ;;
    'babycli eval --prompt') _babycli_value_asked_task ;;
    'babycli eval --scoring') _babycli_value_scoring ;;
    'babycli eval --answers') _babycli_value_answer ;;
    'babycli eval --history') _babycli_value_history ;;
    'babycli eval --max-new-tokens') _babycli_value_text ;;
    'babycli eval --batch-size'|'babycli eval -b') _babycli_value_batch_size ;;
    'babycli eval --device') _babycli_value_device ;;
    'babycli eval --dtype') _babycli_value_precision ;;
    'babycli eval --batch-check') _babycli_value_text ;;
    'babycli eval --cache') _babycli_value_folder ;;
    'babycli eval --send-pictures-to') _babycli_value_text ;;
    'babycli eval --data'|'babycli eval -d') _babycli_value_folder ;;
    'babycli eval --output-path'|'babycli eval -o') _babycli_value_folder ;;
    'babycli eval --name') _babycli_value_text ;;
    'babycli eval --save') _babycli_value_file ;;
    'babycli eval --config') _babycli_value_file ;;
    'babycli eval --watch-for') _babycli_value_text ;;
    'babycli eval --watch-settle') _babycli_value_text ;;
    'babycli report --models') _babycli_value_evaluated_models ;;
    'babycli report --tasks'|'babycli report -t') _babycli_value_task ;;
    'babycli report --metrics') _babycli_value_metric ;;
    'babycli report --rename') _babycli_value_file ;;
    'babycli report --baselines') _babycli_value_baselines ;;
    'babycli report --humans') _babycli_value_file ;;
    'babycli report --overlap') _babycli_value_file ;;
    'babycli report --only') _babycli_value_only ;;
    'babycli report --level') _babycli_value_level ;;
    'babycli report --compare') _babycli_value_compared_run ;;
    'babycli report --by') _babycli_value_kind ;;
    'babycli report --format') _babycli_value_format ;;
    'babycli report --output'|'babycli report -o') _babycli_value_file ;;
    'babycli report --plot') _babycli_value_file ;;
    'babycli report --model'|'babycli report -m') _babycli_value_evaluated_model ;;
    'babycli report --hub-dataset') _babycli_value_text ;;
    'babycli report --entry') _babycli_value_entry ;;
    'babycli report --to') _babycli_value_tracker ;;
    'babycli report --data'|'babycli report -d') _babycli_value_folder ;;
    'babycli runs --logs') _babycli_value_folder ;;
    'babycli runs show --logs') _babycli_value_folder ;;
    'babycli runs delete --logs') _babycli_value_folder ;;
    'babycli runs rename --logs') _babycli_value_folder ;;
    'babycli trials check --images') _babycli_value_file ;;
    'babycli trials from-csv --output'|'babycli trials from-csv -o') _babycli_value_file ;;
    'babycli trials from-csv --images') _babycli_value_file ;;
    'babycli trials from-levante --output'|'babycli trials from-levante -o') _babycli_value_file ;;
    'babycli trials from-levante --images') _babycli_value_file ;;
    'babycli trials from-devbench --output'|'babycli trials from-devbench -o') _babycli_value_file ;;
    'babycli trials from-devbench --images') _babycli_value_file ;;
    'babycli cite --output'|'babycli cite -o') _babycli_value_file ;;
    'babycli models show --model-args') _babycli_value_argument ;;
    'babycli models show --dtype') _babycli_value_precision ;;
    'babycli bridge lmms --tasks'|'babycli bridge lmms -t') _babycli_value_task ;;
    'babycli bridge lmms --sign') _babycli_value_sign ;;
    'babycli bridge lmms --data'|'babycli bridge lmms -d') _babycli_value_folder ;;
    'babycli submission write --model'|'babycli submission write -m') _babycli_value_model ;;
    'babycli submission write --model-args') _babycli_value_argument ;;
    'babycli submission write --name') _babycli_value_text ;;
    'babycli submission write --checkpoint') _babycli_value_text ;;
    'babycli submission write --device') _babycli_value_device ;;
    'babycli submission write --dtype') _babycli_value_precision ;;
    'babycli submission write --limit'|'babycli submission write -l') _babycli_value_text ;;
    'babycli submission write --data'|'babycli submission write -d') _babycli_value_folder ;;
    'babycli submission write --set') _babycli_value_linked_set ;;
    'babycli submission check --model-args') _babycli_value_argument ;;
    'babycli submission check --model'|'babycli submission check -m') _babycli_value_model ;;
    'babycli submission check --device') _babycli_value_device ;;
    'babycli submission check --dtype') _babycli_value_precision ;;
    'babycli submission check --limit'|'babycli submission check -l') _babycli_value_text ;;
    'babycli submission check --data'|'babycli submission check -d') _babycli_value_folder ;;
    'babycli submission check --set') _babycli_value_linked_set ;;
    esac
}

_babycli_value_folder() { _babycli_values folders; }
_babycli_value_task() { _babycli_values 'list quiet' babyvlm devcv machine_devbench labeled_s vtwt baby_winoground saycam_caption baby_pv baby_localize baby_leftright baby_spatialdetails baby_vdr_binary baby_vdr_open baby_compare_real baby_compare_synthetic baby_count baby_memory baby_subitize lex_nouns lex_verbs lex_adjectives gram_subject_verb gram_subject_adjective gram_negation gram_order_matters gram_prepositions gram_comparatives gram_counting gram_embedded_relative; }
_babycli_value_file() { _babycli_values files; }
_babycli_value_source() { _babycli_values 'name files' saycam= labeled_s= synthetic= machine_devbench=; }
_babycli_value_set() { _babycli_values 'name files' saycam= ego4d= babyview= nih=; }
_babycli_value_text() { _babycli_values ''; }
_babycli_value_mode() { _babycli_values '' symlink hardlink copy reflink; }
_babycli_value_linked_set() { _babycli_values 'list sets'; }
_babycli_value_depth() { _babycli_values '' names header checksum decode; }
_babycli_value_level() { _babycli_values list sha256 name within near recording; }
_babycli_value_model() { _babycli_values 'hub files' babyllava clip control cvcl dual llava llava_next lmms openai plugin replay hf babyllava-tiny babyllava-v2-tiny control:constant control:random control:length control:letter control:pixels; }
_babycli_value_argument() { _babycli_values 'list name files' pretrained= conv_template= vision_tower= image_aspect_ratio= base= device_map= seed= pick= text= normalize_features= vocab= head= chat_template= sign= batch_size= concurrency= timeout= patience= key_env= price_in= price_out= load_in_4bit= load_in_8bit= tiles=; }
_babycli_value_control() { _babycli_values '' blind shuffled constant; }
_babycli_value_asked_task() { _babycli_values name labeled_s= vtwt= baby_winoground= saycam_caption= baby_pv= baby_localize= baby_leftright= baby_spatialdetails= baby_vdr_binary= baby_vdr_open= baby_compare_real= baby_compare_synthetic= baby_count= baby_memory= baby_subitize= lex_nouns= lex_verbs= lex_adjectives= gram_subject_verb= gram_subject_adjective= gram_negation= gram_order_matters= gram_prepositions= gram_comparatives= gram_counting= gram_embedded_relative=; }
_babycli_value_scoring() { _babycli_values '' fair reference; }
_babycli_value_answer() { _babycli_values list written chosen; }
_babycli_value_history() { _babycli_values '' own gold; }
_babycli_value_batch_size() { _babycli_values '' auto; }
_babycli_value_device() { _babycli_values '' cpu cuda cuda:0; }
_babycli_value_precision() { _babycli_values '' float32 float16 bfloat16; }
_babycli_value_evaluated_models() { _babycli_values 'list models'; }
_babycli_value_metric() { _babycli_values list main all acc image_score text_score group_score positive_context_group_score negative_context_group_score meteor acc_reference acc_chosen acc_exact acc_exact_reference acc_exact_chosen acc_adjacent acc_adjacent_reference acc_adjacent_chosen acc_learning acc_learning_reference acc_learning_chosen acc_testing_raw acc_testing_raw_reference acc_testing_raw_chosen acc_testing_adjusted acc_testing_adjusted_reference acc_testing_adjusted_chosen; }
_babycli_value_baselines() { _babycli_values '' paper; }
_babycli_value_only() { _babycli_values '' clean leaked; }
_babycli_value_compared_run() { _babycli_values 'models runs quiet'; }
_babycli_value_kind() { _babycli_values '' category session word number turn overlap style frequency_bin group cluster; }
_babycli_value_format() { _babycli_values '' table md csv json latex html hf eee egobabyvlm leaderboard; }
_babycli_value_evaluated_model() { _babycli_values models; }
_babycli_value_entry() { _babycli_values name id= model= team= architecture= training_data= category= report_url= code_url=; }
_babycli_value_tracker() { _babycli_values '' wandb: mlflow:; }
_babycli_value_run() { _babycli_values 'runs quiet'; }
_babycli_value_sign() { _babycli_values '' logprob loss; }

if type compopt &>/dev/null; then
    complete -F _babycli babycli
else
    complete -o default -F _babycli babycli
fi
