import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.AnnotatedMember;
import com.fasterxml.jackson.databind.introspect.BeanPropertyDefinition;
import io.strimzi.crdgenerator.annotations.Maximum;
import io.strimzi.crdgenerator.annotations.Minimum;
import io.strimzi.crdgenerator.annotations.Pattern;
import io.strimzi.crdgenerator.annotations.PresentInVersions;
import io.strimzi.crdgenerator.annotations.RequiredInVersions;
import java.lang.annotation.Annotation;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Prints the schemas of version v1 of Strimzi's resources, derived from its published classes, as JSON by class name.
 *
 * <p>Names, types, required fields, numbers' limits, patterns and the choices of enums are Strimzi's. The subtypes of one field are joined: a
 * field of any of them is allowed. Rules in CEL are missing, and so are the types of Kubernetes (pod templates), which may be anything.
 */
public final class Schemas {
    private final ObjectMapper mapper = new ObjectMapper();
    private final Deque<Class<?>> open = new ArrayDeque<>();

    public static void main(String[] names) throws Exception {
        Schemas schemas = new Schemas();
        Map<String, Object> found = new LinkedHashMap<>();
        for (String name : names) {
            JavaType type = schemas.mapper.constructType(Class.forName(name));
            for (BeanPropertyDefinition property : schemas.describe(type).findProperties()) {
                if (property.getName().equals("spec")) {
                    found.put(name, schemas.schema(property.getPrimaryType()));
                }
            }
        }
        schemas.mapper.writerWithDefaultPrettyPrinter().writeValue(System.out, found);
    }

    private BeanDescription describe(JavaType type) {
        return mapper.getDeserializationConfig().introspect(type);
    }

    private Map<String, Object> schema(JavaType type) {
        Class<?> raw = type.getRawClass();
        if (raw == String.class || raw == char.class) {
            return Map.of("type", "string");
        }
        if (raw == boolean.class || raw == Boolean.class) {
            return Map.of("type", "boolean");
        }
        if (raw == double.class || raw == Double.class || raw == float.class || raw == Float.class) {
            return Map.of("type", "number");
        }
        if (raw.isPrimitive() || Number.class.isAssignableFrom(raw)) {
            return Map.of("type", "integer");
        }
        if (raw.isEnum()) {
            Set<String> names = new TreeSet<>();
            for (Object each : raw.getEnumConstants()) {
                names.add(mapper.convertValue(each, String.class));
            }
            return Map.of("type", "string", "enum", names);
        }
        if (type.isCollectionLikeType() || type.isArrayType()) {
            return Map.of("type", "array", "items", schema(type.getContentType()));
        }
        if (type.isMapLikeType() || !raw.getName().startsWith("io.strimzi.") || open.contains(raw)) {
            return Map.of("x-kubernetes-preserve-unknown-fields", true);
        }
        open.push(raw);
        try {
            return bean(type);
        } finally {
            open.pop();
        }
    }

    private Map<String, Object> bean(JavaType type) {
        Map<String, Object> properties = new LinkedHashMap<>();
        Set<String> required = new TreeSet<>();
        JsonSubTypes subtypes = type.getRawClass().getAnnotation(JsonSubTypes.class);
        if (subtypes == null) {
            collect(type, properties, required);
        } else {
            Set<String> names = new TreeSet<>();
            for (JsonSubTypes.Type each : subtypes.value()) {
                names.add(each.name());
                collect(mapper.constructType(each.value()), properties, new TreeSet<>());
            }
            String discriminator = type.getRawClass().getAnnotation(JsonTypeInfo.class).property();
            properties.put(discriminator, Map.of("type", "string", "enum", names));
            required.add(discriminator);
        }
        Map<String, Object> made = new LinkedHashMap<>(Map.of("type", "object", "properties", properties));
        if (!required.isEmpty()) {
            made.put("required", required);
        }
        return made;
    }

    private void collect(JavaType type, Map<String, Object> properties, Set<String> required) {
        for (BeanPropertyDefinition property : describe(type).findProperties()) {
            PresentInVersions present = annotation(property, PresentInVersions.class);
            if (property.getName().equals("additionalProperties") || present != null && !hasV1(present.value())) {
                continue;
            }
            Map<String, Object> own = new LinkedHashMap<>(schema(property.getPrimaryType()));
            Minimum least = annotation(property, Minimum.class);
            Maximum most = annotation(property, Maximum.class);
            Pattern pattern = annotation(property, Pattern.class);
            if (least != null) {
                own.put("minimum", least.value());
            }
            if (most != null) {
                own.put("maximum", most.value());
            }
            if (pattern != null) {
                own.put("pattern", pattern.value());
            }
            properties.put(property.getName(), own);
            RequiredInVersions since = annotation(property, RequiredInVersions.class);
            if (property.isRequired() || since != null && hasV1(since.value())) {
                required.add(property.getName());
            }
        }
    }

    /** A range is `v1beta2`, `v1beta2-v1` or `v1+`; v1 is the last version. */
    private static boolean hasV1(String range) {
        return range.endsWith("+") || range.equals("v1") || range.endsWith("-v1");
    }

    private static <A extends Annotation> A annotation(BeanPropertyDefinition property, Class<A> type) {
        for (AnnotatedMember member : new AnnotatedMember[] {property.getGetter(), property.getSetter(), property.getField()}) {
            if (member != null && member.hasAnnotation(type)) {
                return member.getAnnotation(type);
            }
        }
        return null;
    }
}
